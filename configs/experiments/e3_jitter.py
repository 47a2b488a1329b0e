"""Do jittered coordinates help?

python -m inr_sr.studies.experiments e3_jitter
"""

from ml_collections import ConfigDict

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Widths of a jitter in output pixels, with targets at the jittered places or left behind.

    The normal jitter tests the shape of the distribution alone, with one seed.
    """

    def arm(width: float, raw: bool, shape: str = "uniform") -> ConfigDict:
        targets = "raw_hr" if raw else "hr"
        return base.repaired(data__jitter=width, data__targets=targets, data__jitter_shape=shape)

    return Experiment(
        question="Do jittered coordinates help, and must the target be taken at the same place?",
        prediction="With true targets a jitter changes nothing, within 0.03 dB: scales are "
        "continuous, so that pixel centres fall everywhere in a cell already. Targets that stay "
        "behind teach a blur: at 1 pixel a loss of 0.05 dB at x4 and more at x2, at 2 pixels "
        "several times that. A normal jitter of deviation 0.5 is as bad as a uniform one of "
        "equal variance, 1.7 pixels wide.",
        reference="none",
        arms={
            "none": base.repaired(),
            **{f"{w} px": arm(w, False) for w in (0.5, 1.0, 2.0)},
            **{f"{w} px raw": arm(w, True) for w in (0.5, 1.0, 2.0)},
            "0.5 px raw, normal": arm(0.5, True, "normal"),
        },
        fewer={"0.5 px raw, normal": (0,)},
    )
