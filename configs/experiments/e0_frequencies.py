"""Which frequencies should the waves start from?

python -m inr_sr.studies.experiments e0_frequencies
"""

from ml_collections import ConfigDict

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Initialisations of the three bands; the original used inverse_sigma, with two bands."""

    def arm(
        name: str, bands: tuple[float, ...] = (0.5, 1.0, 2.0), alpha: float = 1.0
    ) -> ConfigDict:
        return base.repaired(
            model__modulated__initialisation=name,
            model__modulated__bands=bands,
            model__modulated__alpha=alpha,
        )

    return Experiment(
        question="Which frequencies should the waves start from?",
        prediction="Uniform in a disc, geometric and 1/f lie within 0.05 dB of each other at x4, "
        "as all three cover 0 to 2 cycles per LR pixel; so does the Gaussian of like width. "
        "inverse_sigma, whose waves are constant over a cell, loses more than half of the gain. "
        "(Added later: 1/f^2 has few waves beyond 0.5, and loses 0.01 to 0.02 dB.)",
        reference="annulus",
        arms={
            "annulus": arm("annulus"),
            "gaussian": arm("gaussian", (0.25, 0.5, 1.0)),
            "geometric": arm("geometric"),
            "1/f": arm("power", alpha=1.0),
            "1/f^2": arm("power", alpha=2.0),
            "inverse_sigma": arm("inverse_sigma", (128.0, 64.0, 32.0)),
        },
        fewer={"1/f^2": (0,)},
    )
