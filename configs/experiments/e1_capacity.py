"""Is the decoder too small?

python -m inr_sr.studies.experiments e1_capacity
"""

from ml_collections import ConfigDict

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Widths and layers of the decoder, and as many parameters in the encoder instead.

    All arms have the same number of steps. With an encoder of width 120, 64 x 1 has the parameter
    count of 128 x 3; with width 228, that of 256 x 3. 512 x 3 has 22 times the count of 64 x 1, and
    no match.
    """

    def arm(hidden: int, layers: int, width: int = 64) -> ConfigDict:
        return base.repaired(
            model__modulated__hidden=hidden,
            model__modulated__layers=layers,
            model__lp_tokens__width=width,
        )

    arms = {f"{d} x {n}": arm(d, n) for d in (64, 128, 256, 512) for n in (1, 3)}
    arms["64 x 1 + encoder"] = arm(64, 1, width=120)
    arms["64 x 1 + wide encoder"] = arm(64, 1, width=228)
    costly = [f"{d} x {n}" for d in (256, 512) for n in (1, 3)]
    return Experiment(
        question="Is the decoder too small, and are its parameters better spent in the encoder?",
        prediction="At equal steps 128 x 3 gains 0.05 to 0.1 dB at x4 over 64 x 1, layers less "
        "than width; 256 and 512 gain no more in so few steps. As many parameters in the "
        "encoder gains about as much. Nothing like the 3 to 5 dB that were hoped for.",
        reference="64 x 1",
        arms=arms,
        fewer=dict.fromkeys([*costly, "64 x 1 + wide encoder"], (0,)),
    )
