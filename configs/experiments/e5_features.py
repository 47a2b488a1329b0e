"""How many Fourier features?

python -m inr_sr.studies.experiments e5_features
"""

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """32 to 256 features per band, half as many waves; the largest number with one seed."""
    return Experiment(
        question="How many Fourier features does a band need?",
        prediction="64, 128 and 256 are alike within 0.03 dB at x4, 32 is a little below: a "
        "cell of two by two LR pixels holds few waves below 2 cycles per LR pixel that differ.",
        reference="64",
        arms={str(n): base.repaired(model__modulated__features=n) for n in (64, 32, 128, 256)},
        fewer={"256": (0,)},
    )
