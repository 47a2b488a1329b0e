"""Tokens and an MLP, or waves with coefficients?

python -m inr_sr.studies.experiments e8_decoders
"""

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """The modulated and the spectral decoder behind one convolutional encoder; and tokens.

    At equal parameter counts a step takes equally long with either, within a tenth, and up to a
    fifth longer with tokens, in which time the spectral decoder makes at most 535 steps: see the
    minutes of the table.
    """
    return Experiment(
        question="Is the modulated decoder better than the spectral one, at equal parameters and "
        "at equal time?",
        prediction="At equal parameters and steps the spectral decoder leads by 0.1 dB or more at "
        "x4, as it learns sooner; at equal time by more, as it is asked for almost nothing. Tokens "
        "in place of convolutions cost another 0.1 dB or more.",
        reference="spectral",
        arms={
            "spectral": base.convolutional(model__decoder="spectral", model__spectral__width=186),
            "modulated": base.convolutional(),
            "spectral for longer": base.convolutional(
                model__decoder="spectral", model__spectral__width=186, train__steps=535
            ),
            "tokens and modulated": base.repaired(),
        },
    )
