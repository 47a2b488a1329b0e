"""Does training at one low resolution matter for larger images?

python -m inr_sr.studies.experiments e12_sizes
"""

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Runs of e2_supervision, scored on crops larger than most of their patches."""
    return Experiment(
        question="Is it training at one low resolution that keeps larger pictures smooth?",
        prediction="No: a network trained at 32 x 32 is given larger pictures in parts of that "
        "size, so it gains on crops of 64 x 64 what it gains on 32 x 32. Patches up to 64 gain up "
        "to 0.03 dB more, smaller ones lose as much as they do at 32.",
        reference="32",
        arms={
            "32": base.repaired(),
            "16, 24 and 32": base.repaired(data__other_patches=(24, 16)),
            "32, 48 and 64": base.larger_patches(),
        },
        fewer={"32, 48 and 64": (0,)},
        scales=(2, 4, 6),  # no embedded image is large enough for x8
        lr_size=64,
    )
