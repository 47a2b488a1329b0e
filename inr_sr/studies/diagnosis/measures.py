"""All measures of a diagnosis, as measures.json holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from inr_sr.models.decoders.modulated import CellwiseModulatedFunction
from inr_sr.models.field import FieldFunction
from inr_sr.reporting.tables import json_text
from inr_sr.sizes import Scale
from inr_sr.studies.diagnosis import ablations, frequencies, modulation, output_quality
from inr_sr.studies.diagnosis.ablations import Ablation
from inr_sr.studies.diagnosis.edge_crops import EdgeCrop
from inr_sr.studies.diagnosis.frequencies import Frequencies
from inr_sr.studies.diagnosis.modulation import Modulation
from inr_sr.studies.diagnosis.output_quality import OutputQuality
from inr_sr.studies.diagnosis.trained_network import Course, Recipe, TrainedNetwork, enlarged
from inr_sr.upscaling import ResampleUpscaler
from inr_sr.values import to_float32


@dataclass(frozen=True)
class Measures:
    """Each field is documented by its class; None where a decoder has no such thing.

    Attributes:
      scale: of the diagnosed output, output pixels per LR pixel.
    """

    scale: float
    recipe: Recipe
    course: Course
    frequencies: Frequencies | None
    modulation: Modulation | None
    output: OutputQuality
    shuffled: Ablation
    zeroed: Ablation

    def to_json(self) -> str:
        """All of them; what could not be measured (NaN) is null."""
        return json_text(dataclasses.asdict(self))


def measured(
    network: TrainedNetwork, crops: Sequence[EdgeCrop], scale: Scale
) -> tuple[Measures, list[np.ndarray], list[np.ndarray]]:
    """Measures a network on crops.

    Returns:
      The measures, and outputs of the network and of bicubic: float32 [H, W, 3] in [0, 1] each.
    """
    size = (crops[0].truth.shape[0], crops[0].truth.shape[1])
    lr_size = (crops[0].lr.shape[0], crops[0].lr.shape[1])
    fields = [network.field(crop.lr) for crop in crops]
    outputs = [enlarged(field, size) for field in fields]

    def ablated(change: Callable[[FieldFunction], FieldFunction]) -> Ablation:
        changed = (dataclasses.replace(f, function=change(f.function)) for f in fields)
        return ablations.measure(crops, outputs, [enlarged(f, size) for f in changed])

    resampler = ResampleUpscaler("bicubic")
    bicubic = [resampler.upscale(to_float32(c.lr), size) for c in crops]
    same_size = [] if network.model.fixed_scale else [enlarged(f, lr_size) for f in fields]
    functions = [field.function for field in fields]
    modulated = [
        function for function in functions if isinstance(function, CellwiseModulatedFunction)
    ]
    recipe = Recipe.of(network)
    measures = Measures(
        scale=scale.rows,
        recipe=recipe,
        course=Course.of(network.rows),
        frequencies=_frequencies(network, scale.rows, recipe.scales[1]),
        modulation=modulation.measure(modulated, size[0]) if modulated else None,
        output=output_quality.measure(crops, outputs, bicubic, same_size),
        shuffled=ablated(ablations.shuffled),
        zeroed=ablated(ablations.zeroed),
    )
    return measures, outputs, bicubic


def _frequencies(network: TrainedNetwork, scale: float, trained: float) -> Frequencies | None:
    region = network.region
    if region is None:
        return None
    return frequencies.measure(network.first, network.now, network.rows, region, scale, trained)
