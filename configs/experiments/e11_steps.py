"""What do more steps bring?

python -m inr_sr.studies.experiments e11_steps
"""

from ml_collections import ConfigDict

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Four times the steps for both systems, sixteen for the repaired one and for convolutions.

    One seed each, except the reference.
    """

    def longer(config: ConfigDict, steps: int) -> ConfigDict:
        return base.changed(config.copy_and_resolve_references(), {"train.steps": steps})

    short = {"repaired": base.repaired(), "original": base.original()}
    long = {"repaired": base.repaired(), "convolutions": base.convolutional()}
    others = {
        **{f"{name}, 1800 steps": longer(config, 1800) for name, config in short.items()},
        **{f"{name}, 7200 steps": longer(config, 7200) for name, config in long.items()},
    }
    return Experiment(
        question="How far do both systems come when they are trained for longer, and does more "
        "training make up for what the original lacks?",
        prediction="The repaired system doubles its gain over bicubic at x4 from 450 to 7200 steps "
        "and reaches 0.6 dB, convolutions in place of tokens 1 dB. The original learns to "
        "reproduce its 32 x 32 pixels better, and stays below bicubic at every scale.",
        reference="repaired",
        arms={"repaired": base.repaired(), **others},
        fewer=dict.fromkeys(others, (0,)),
    )
