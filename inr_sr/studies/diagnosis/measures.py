"""All that a diagnosis measures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inr_sr.models.decoders.modulated import ModulatedField
from inr_sr.reporting.tables import json_text
from inr_sr.sizes import Scale
from inr_sr.studies.diagnosis import controls, course, frequencies, modulation, output
from inr_sr.studies.diagnosis.crops import Crop
from inr_sr.studies.diagnosis.recipe import Recipe
from inr_sr.studies.diagnosis.subject import Subject, enlarged
from inr_sr.upscaling import ResampleUpscaler
from inr_sr.values import to_float32


@dataclass(frozen=True)
class Measures:
    """See the modules that the fields are from; None where a decoder has no such thing.

    Attributes:
      scale: that the network is looked at, output pixels per LR pixel.
    """

    scale: float
    recipe: Recipe
    course: course.Course
    frequencies: frequencies.Frequencies | None
    modulation: modulation.Modulation | None
    output: output.Output
    shuffled: controls.Control
    zeroed: controls.Control

    def to_json(self) -> str:
        """All of them; what could not be measured (NaN) is null."""
        return json_text(dataclasses.asdict(self))


def measured(
    subject: Subject, crops: Sequence[Crop], scale: Scale
) -> tuple[Measures, list[np.ndarray], list[np.ndarray]]:
    """Measures a network on crops.

    Returns:
      The measures, and outputs of the network and of bicubic: float32 [H, W, 3] in [0, 1] each.
    """
    size = (crops[0].truth.shape[0], crops[0].truth.shape[1])
    lr_size = (crops[0].lr.shape[0], crops[0].lr.shape[1])
    fields = [subject.field(crop.lr) for crop in crops]
    outputs = [enlarged(field, size) for field in fields]

    def control(change: Any) -> controls.Control:
        changed = (dataclasses.replace(f, function=change(f.function)) for f in fields)
        return controls.measure(crops, outputs, [enlarged(f, size) for f in changed])

    resampler = ResampleUpscaler("bicubic")
    bicubic = [resampler.upscale(to_float32(c.lr), size) for c in crops]
    same_size = [] if subject.model.fixed_scale else [enlarged(f, lr_size) for f in fields]
    residuals: list[Any] = [field.function for field in fields]
    modulated = isinstance(residuals[0], ModulatedField)
    recipe = Recipe.of(subject)
    measures = Measures(
        scale=scale.rows,
        recipe=recipe,
        course=course.measure(subject.rows),
        frequencies=_frequencies(subject, scale.rows, recipe.scales[1]),
        modulation=modulation.measure(residuals, size[0]) if modulated else None,
        output=output.measure(crops, outputs, bicubic, same_size),
        shuffled=control(controls.shuffled),
        zeroed=control(controls.zeroed),
    )
    return measures, outputs, bicubic


def _frequencies(subject: Subject, scale: float, trained: float) -> frequencies.Frequencies | None:
    region = subject.region
    if region is None:
        return None
    return frequencies.measure(subject.first, subject.now, subject.rows, region, scale, trained)
