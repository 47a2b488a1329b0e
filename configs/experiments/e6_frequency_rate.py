"""Should the frequencies learn, and how fast?

python -m inr_sr.studies.experiments e6_frequency_rate
"""

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Multiples of the learning rate of the weights; two separate schedules with one seed."""
    return Experiment(
        question="Does it help to learn the frequencies, and at which multiple of the learning "
        "rate of the weights?",
        prediction="Learned frequencies gain little over frozen ones drawn from the same disc, "
        "less than 0.05 dB at x4, as 32 waves a band fill it already; a multiple of 2 changes "
        "nothing, and at 10 they move faster than the layers that read them, which costs. A longer "
        "warm-up and a constant rate change nothing.",
        reference="x1",
        arms={
            **{
                f"x{n}": base.repaired(optimizer__frequency_multiplier=float(n))
                for n in (1, 0, 2, 10)
            },
            "x1, warm-up of 150": base.repaired(optimizer__frequency_warmup=150),
            "x1, constant": base.repaired(optimizer__frequency_schedule="constant"),
        },
        fewer=dict.fromkeys(["x1, warm-up of 150", "x1, constant"], (0,)),
    )
