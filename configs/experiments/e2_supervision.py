"""Which targets are needed?

python -m inr_sr.studies.experiments e2_supervision
"""

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Targets and sizes of patches, all scored on crops of one size; e12_sizes scores larger ones.

    The largest patches take as long as six other runs and have one seed.
    """
    return Experiment(
        question="Does it take true high-resolution targets, and patches of several sizes?",
        prediction="Only true targets teach anything at x4: with the LR picture as its own target "
        "the network stays within 0.05 dB of bicubic, as the skip reproduces it already; with "
        "bicubic targets it learns to add nothing. Patches of 16, 24 and 32 pixels cost a little "
        "at 32, as fewer of them are of that size. (Added later: patches of 32, 48 and 64 gain a "
        "little, as they show more pixels in as many steps.)",
        reference="true HR",
        arms={
            "true HR": base.repaired(),
            "LR only": base.repaired(data__targets="lr"),
            "pseudo-HR": base.repaired(data__targets="pseudo_hr"),
            "16, 24 and 32": base.repaired(data__other_patches=(24, 16)),
            "32, 48 and 64": base.larger_patches(),
        },
        controls=("pseudo-HR",),
        fewer={"32, 48 and 64": (0,)},
    )
