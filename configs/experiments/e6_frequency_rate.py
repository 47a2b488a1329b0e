"""Should the frequencies learn, and how fast?

python -m inr_sr.experiments e6_frequency_rate
"""

from ml_collections import ConfigDict

from configs.experiments import base
from inr_sr.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Frequencies at 0, 1, 2 and 10 times the learning rate of the weights."""

    def arm(multiplier: float) -> ConfigDict:
        config = base.get_config()
        config.optimizer.frequency_multiplier = multiplier
        return config

    return Experiment(
        question="Does it help to learn the frequencies, and at which multiple of the learning "
        "rate of the weights?",
        prediction="Learned frequencies gain little over frozen ones drawn from the same disc, "
        "less than 0.05 dB at x4, as 32 waves fill it already; a multiple of 2 changes nothing, "
        "and at 10 they move faster than the coefficients that belong to them, which costs.",
        reference="times_1",
        arms={"times_1": arm(1.0), "frozen": arm(0.0), "times_2": arm(2.0), "times_10": arm(10.0)},
    )
