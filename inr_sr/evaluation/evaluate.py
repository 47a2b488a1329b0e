"""Scores upscalers on the images of a source, at several scales, under one protocol."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ml_collections import ConfigDict

from inr_sr.errors import InputError
from inr_sr.evaluation.metrics import METRICS, EvaluatedImage, luma
from inr_sr.evaluation.protocols import Protocol, check_size, make_pair
from inr_sr.evaluation.results import ImageScore, Results, Row
from inr_sr.reporting.machine import peak_memory, reset_peak_memory
from inr_sr.reporting.panels import Panel, busiest_window, comparison, magnified
from inr_sr.sizes import Scale
from inr_sr.values import to_float32, to_uint8

if TYPE_CHECKING:
    from inr_sr.data.sources import Source
    from inr_sr.upscaling import Upscaler

Progress = Callable[[int, int, str], None]
"""Called after each image that a method upscaled: how many are done, of how many, and its name."""


def default_config() -> ConfigDict:
    """The `eval` section of a configuration."""
    config = ConfigDict()
    config.dataset = "embedded"  # embedded | tfds:NAME | a folder
    config.split = "test"  # of the embedded images or a TFDS data set
    config.scales = "2,2.7,3,4,8"  # of the report at the end
    config.protocol = "y"  # a name in PROTOCOLS, protocols.py; see docs/evaluation.md
    config.during = "2,4"  # scales of the validations while training
    config.images = 4  # how many images those use
    return config


def evaluate(
    upscalers: Sequence[Upscaler],
    source: Source,
    scales: Sequence[Scale],
    protocol: Protocol,
    dataset_name: str,
    *,
    panel_images: int = 0,
    progress: Progress | None = None,
) -> Results:
    """Upscales every image with every upscaler at every scale and scores it.

    One image is in memory at a time. An upscaler may have an attribute `programs`, the number of
    programs it has compiled: where an image adds to it, that image is upscaled again and only the
    second time counts, so that compilation is not timed. An attribute `parameters` is reported.

    Args:
      upscalers: methods of distinct names.
      source: the ground truth, uint8 [h, w, 3] each.
      scales: see `sizes.parse_scales`.
      protocol: see `protocols.get_protocol`.
      dataset_name: name of the source in tables.
      panel_images: how many images, from the first, get a panel at every scale.
      progress: see `Progress`.

    Raises:
      InputError: no images, scales or methods, a method named twice, or an image too small for a
        scale; all of it before anything is upscaled.
      ValueError: an upscaler returned a wrong shape, or numbers that are not finite.
    """
    _check_request(upscalers, source, scales, protocol, dataset_name)
    total = len(source) * len(scales) * len(upscalers)
    done = 0
    scores: dict[tuple[str, str], list[ImageScore]] = {}
    panels: list[Panel] = []
    for index in range(len(source)):
        image = source[index]
        for scale in scales:
            case = _Case.of(source.name(index), image, scale, protocol)
            outputs: dict[str, np.ndarray] = {}
            for upscaler in upscalers:
                output, score = case.run(upscaler)
                scores.setdefault((upscaler.name, scale.label), []).append(score)
                if index < panel_images:
                    outputs[upscaler.name] = output
                done += 1
                if progress is not None:
                    progress(done, total, f"{case.name} ×{scale.label} {upscaler.name}")
            if outputs:
                notes = {name: _note(scores[name, scale.label][-1], protocol) for name in outputs}
                panels.append(case.panel(index, outputs, notes))
    rows = tuple(
        _row(dataset_name, scale, upscaler, scores[upscaler.name, scale.label])
        for scale in scales
        for upscaler in upscalers
    )
    names = tuple(upscaler.name for upscaler in upscalers)
    return Results(dataset_name, protocol, tuple(scales), names, rows, tuple(panels))


def magnified_detail(
    upscalers: Sequence[Upscaler], image: np.ndarray, name: str, *, factor: int = 12
) -> Panel:
    """The busiest 32 x 32 pixels of an image, upscaled as they are: there is no ground truth.

    Each method gets 16 pixels around them as well, so that no border is in sight.

    Args:
      upscalers: the methods to show, in order.
      image: uint8 [h, w, 3].
      name: of the image.
      factor: output pixels per pixel of the image, along each axis.
    """
    plane = luma(image)
    activity = np.zeros_like(plane)
    activity[1:] += np.diff(plane, axis=0) ** 2
    activity[:, 1:] += np.diff(plane, axis=1) ** 2
    row, col, rows, cols = busiest_window(activity, (32, 32))
    top, left = min(row, 16), min(col, 16)
    context = image[row - top : row + rows + 16, col - left : col + cols + 16]
    values = to_float32(context)
    size = (context.shape[0] * factor, context.shape[1] * factor)
    inner = tuple(slice(k * factor, (k + n) * factor) for k, n in ((top, rows), (left, cols)))
    outputs = {u.name: to_uint8(u.upscale(values, size)[inner]) for u in upscalers}
    lr = image[row : row + rows, col : col + cols]
    return magnified(f"{name}_x{factor}_magnified", f"{name} ×{factor}", lr, outputs)


def _check_request(
    upscalers: Sequence[Upscaler],
    source: Source,
    scales: Sequence[Scale],
    protocol: Protocol,
    dataset_name: str,
) -> None:
    names = [upscaler.name for upscaler in upscalers]
    if len(source) == 0:
        raise InputError(f"there are no images in {dataset_name} to evaluate on")
    if not names or not scales:
        raise InputError("an evaluation needs at least one method and at least one scale")
    if len(set(names)) < len(names):
        raise InputError(f"the methods to compare must differ in name, got {', '.join(names)}")
    check_sizes(source, scales, protocol)


def check_sizes(
    source: Source, scales: Sequence[Scale], protocol: Protocol, count: int | None = None
) -> None:
    """Raises InputError unless each image, or each of the first `count`, fits all scales."""
    for index in range(len(source) if count is None else count):
        size = source.size(index)
        for scale in scales:
            check_size(size, scale, protocol, source.name(index))


@dataclass(frozen=True)
class _Case:
    """One image at one scale: the LR image that every method gets, and the ground truth."""

    name: str
    scale: Scale
    protocol: Protocol
    lr: np.ndarray
    truth: np.ndarray

    @classmethod
    def of(cls, name: str, hr: np.ndarray, scale: Scale, protocol: Protocol) -> _Case:
        return cls(name, scale, protocol, *make_pair(hr, scale, protocol.lr_kernel, name=name))

    def run(self, upscaler: Upscaler) -> tuple[np.ndarray, ImageScore]:
        """The output, rounded or clipped as the protocol says, and its score."""
        image = to_float32(self.lr)
        size = (self.truth.shape[0], self.truth.shape[1])
        programs = getattr(upscaler, "programs", 0)
        output, seconds, peak = self._timed(upscaler, image, size)
        if getattr(upscaler, "programs", 0) != programs:
            output, seconds, peak = self._timed(upscaler, image, size)
        if output.shape != self.truth.shape:
            raise ValueError(
                f"{upscaler.name} returned {output.shape} for {self.name} at scale "
                f"{self.scale.label}, not {self.truth.shape}"
            )
        if not np.isfinite(output).all():
            raise ValueError(
                f"{upscaler.name} returned numbers that are not finite for {self.name} "
                f"at scale {self.scale.label}"
            )
        if self.protocol.rounding == "uint8":
            output = to_uint8(output)
        else:
            output = np.clip(output, 0.0, 1.0)
        return output, self._score(output, seconds, peak)

    @staticmethod
    def _timed(
        upscaler: Upscaler, image: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, float, float | None]:
        """The output, the seconds it took, and the peak memory in MiB meanwhile."""
        reset_peak_memory()
        start = time.perf_counter()
        output = np.asarray(upscaler.upscale(image, size))
        return output, time.perf_counter() - start, peak_memory()

    def _score(self, output: np.ndarray, seconds: float, peak: float | None) -> ImageScore:
        image = EvaluatedImage(output, self.truth, self.lr, self.scale, self.protocol)
        return ImageScore(
            name=self.name,
            scores={name: metric.score(image) for name, metric in METRICS.items()},
            seconds=seconds,
            megapixels=self.truth.shape[0] * self.truth.shape[1] / 1e6,
            peak_mib=peak,
        )

    def panel(self, index: int, outputs: dict[str, np.ndarray], notes: dict[str, str]) -> Panel:
        return comparison(
            name=f"{index:02d}_{self.name}_x{self.scale.label}",
            title=f"{self.name} ×{self.scale.label}",
            lr=self.lr,
            outputs={name: to_uint8(output) for name, output in outputs.items()},
            truth=self.truth,
            notes=notes,
            border=self.protocol.border(self.scale),
        )


def _note(score: ImageScore, protocol: Protocol) -> str:
    value = protocol.headline(score.scores)
    return "identical" if math.isinf(value) else f"{value:.2f} dB"


def _row(dataset: str, scale: Scale, upscaler: Upscaler, images: list[ImageScore]) -> Row:
    peaks = [image.peak_mib for image in images if image.peak_mib is not None]
    return Row(
        dataset=dataset,
        scale=scale.label,
        method=upscaler.name,
        scores={
            name: statistics.fmean(image.scores[name] for image in images)
            for name in images[0].scores
        },
        seconds=statistics.median(image.seconds for image in images),
        seconds_per_megapixel=statistics.median(i.seconds / i.megapixels for i in images),
        peak_mib=max(peaks) if peaks else None,
        parameters=int(getattr(upscaler, "parameters", 0)),
        images=tuple(images),
    )
