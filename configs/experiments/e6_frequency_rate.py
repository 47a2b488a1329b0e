"""Should the frequencies learn, and how fast?

python -m inr_sr.experiments e6_frequency_rate
"""

from configs.experiments import base
from inr_sr.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Frequencies at 0, 1, 2 and 10 times the learning rate of the weights."""
    return Experiment(
        question="Does it help to learn the frequencies, and at which multiple of the learning "
        "rate of the weights?",
        prediction="Learned frequencies gain little over frozen ones drawn from the same disc, "
        "less than 0.05 dB at x4, as 32 waves a band fill it already; a multiple of 2 changes "
        "nothing, and at 10 they move faster than the layers that read them, which costs.",
        reference="x1",
        arms={
            f"x{n}": base.repaired(optimizer__frequency_multiplier=float(n)) for n in (1, 0, 2, 10)
        },
    )
