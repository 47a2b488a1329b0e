"""What do wrong coordinates cost?

python -m inr_sr.studies.experiments e7_conventions
"""

from ml_collections import ConfigDict

from configs.experiments import base
from inr_sr.studies.experiments.experiment import Experiment


def get_experiment() -> Experiment:
    """Positions from the corner of the image, attention to all tokens; two wrong conventions."""

    def arm(decoder: str) -> ConfigDict:
        return base.repaired(
            model__modulated__frame="picture",
            model__modulated__nearest=0,
            model__decoder=decoder,
        )

    return Experiment(
        question="What do pixel centres and two-dimensional distances matter, and positions that "
        "count from the token's own cell?",
        prediction="End points in place of centres shift each output pixel by up to half of one, "
        "by another amount at each scale: a loss of 0.1 dB or more, most at scales that were not "
        "trained. Distances along the raster make a neighbour below as far as a whole row: most of "
        "the gain is lost. Positions from the cell gain over both in so few steps.",
        reference="right",
        arms={
            "right": arm("modulated"),
            "end points": arm("end_points"),
            "raster distance": arm("raster_distance"),
            "from the cell": base.repaired(),
        },
        controls=("end points", "raster distance"),
    )
