"""What runs are scored on, crops of held-out photos, and their scores, kept as JSON beside them."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from inr_sr import models
from inr_sr.data.sources import ArraySource, fingerprint, open_source, source_name
from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import check_sizes, evaluate
from inr_sr.evaluation.metrics import MAX_DB, luma
from inr_sr.evaluation.protocols import crop_side, get_protocol, make_pair
from inr_sr.evaluation.results import ImageScore
from inr_sr.evaluation.spectra import Spectra, compare
from inr_sr.files import atomic_path
from inr_sr.sizes import Scale, Size, parse_scales
from inr_sr.studies.experiments.experiment import PRIMARY
from inr_sr.studies.experiments.runs import Run
from inr_sr.training.task import SCORE
from inr_sr.training.trained import load_network
from inr_sr.upscaling import NetworkUpscaler, ResampleUpscaler, Upscaler

PROTOCOL = get_protocol("y")
SCORES = "scores"
VERSION = 2
"""Version of what is measured, and how; raise it to have every run scored again."""

Entry = dict[str, Any]
"""The scores at one scale as JSON holds them, see `scores`."""

_ARRANGEMENTS = ((1, 2), (2, 1), (1, 1))
_VALIDATED_ON = 4  # crops


class Crops(ArraySource):
    """Crops of one size, named after their photos.

    Attributes:
      photos: name of the photo that each crop is from.
    """

    def __init__(self, crops: list[np.ndarray], photos: list[str]) -> None:
        super().__init__(crops)
        self.photos = photos

    def name(self, index: int) -> str:
        return f"{self.photos[index]} {self.photos[:index].count(self.photos[index])}"


class HeldOut:
    """Held-out photos and the crops of them for each scale.

    Args:
      spec: see `open_source`; of a data set with splits, "test" is used.

    Attributes:
      name: what tables call the photos.
      fingerprint: of their names and sizes.

    Raises:
      InputError: as `open_source`.
    """

    def __init__(self, spec: str) -> None:
        self._source = open_source(spec, "test")
        self.name = source_name(spec)
        self.fingerprint = fingerprint(self._source)

    def __len__(self) -> int:
        return len(self._source)

    def too_small(self, scale: Scale, lr_size: int) -> list[str]:
        """Names of the photos that are smaller than one crop at a scale."""
        side = crop_side(scale, lr_size)
        sizes = ((self._source.name(i), self._source.size(i)) for i in range(len(self)))
        return [name for name, size in sizes if min(size) < side]

    @functools.cache  # noqa: B019 - a program makes one of these
    def crops(self, scale: Scale, lr_size: int) -> Crops:
        """Up to two crops from the centre of each photo, side by side; small photos are left out.

        Args:
          scale: the same for both axes.
          lr_size: side of a crop in LR pixels.

        Raises:
          InputError: every photo is too small, or a crop is too small to be scored.
        """
        side = crop_side(scale, lr_size)
        crops, photos = [], []
        for index in range(len(self)):
            if min(self._source.size(index)) < side:
                continue
            photo = self._source[index]
            for row, col in arrangement((photo.shape[0], photo.shape[1]), side):
                crops.append(photo[row : row + side, col : col + side])
                photos.append(self._source.name(index))
        if not crops:
            raise InputError(
                f"every image of {self.name} is smaller than the crops of {side}x{side} pixels "
                f"for scale {scale.label}"
            )
        found = Crops(crops, photos)
        check_sizes(found, [scale], PROTOCOL, 1)
        return found

    def key(self, lr_size: int, version: int) -> str:
        """A hash of the photos, the size of the crops and the version of the measurement."""
        text = f"{self.fingerprint} {lr_size} {version}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def arrangement(size: tuple[int, int], side: int) -> list[tuple[int, int]]:
    """(row, col) of the first pixels of up to two adjacent crops in the centre of an image.

    Args:
      size: (rows, cols) of the image, each at least `side`.
      side: of a crop.
    """
    fitting = (n for n in _ARRANGEMENTS if n[0] * side <= size[0] and n[1] * side <= size[1])
    down, across = next(fitting)
    top, left = (size[0] - down * side) // 2, (size[1] - across * side) // 2
    places = itertools.product(range(down), range(across))
    return [(top + row * side, left + col * side) for row, col in places]


@dataclass(frozen=True)
class CropValidation:
    """Validation while training: PSNR of a few held-out crops at one scale."""

    model: models.Model
    crops: ArraySource
    scale: Scale

    @classmethod
    def of(cls, model: models.Model, photos: HeldOut, lr_size: int) -> CropValidation:
        """For the parameters of a model: the first crop of each of the first photos."""
        (scale,) = parse_scales(str(model.fixed_scale or PRIMARY))
        crops = photos.crops(scale, lr_size)
        first = [crops.photos.index(photo) for photo in dict.fromkeys(crops.photos)]
        return cls(model, ArraySource([crops[i] for i in first[:_VALIDATED_ON]]), scale)

    def __call__(self, params: models.Params) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """See `loop.Validate`."""
        upscaler = NetworkUpscaler(self.model, jax.tree.map(np.asarray, params), "network")
        found = evaluate([upscaler], self.crops, [self.scale], PROTOCOL, "crops")
        return {SCORE: min(found.rows[0].scores["psnr_y"], MAX_DB)}, {}


class _Keeping:
    """An upscaler that keeps its outputs. Without `programs`, each image is enlarged once."""

    def __init__(self, upscaler: Upscaler) -> None:
        self.name = upscaler.name
        self.outputs: list[np.ndarray] = []
        self._upscaler = upscaler

    def upscale(self, image: np.ndarray, out_size: Size) -> np.ndarray:
        self.outputs.append(self._upscaler.upscale(image, out_size))
        return self.outputs[-1]


def scores(run: Run, photos: HeldOut, scales: Sequence[Scale], lr_size: int) -> dict[str, Entry]:
    """Scores of a finished run by label of the scale; what was measured before is read.

    Each entry holds "photos", the photo of each crop, and for "bicubic" and "network" lists by crop
    of "psnr_y", "ssim" and "lr_psnr" (dB, no more than MAX_DB), and a "spectrum" of all crops. A
    network of one fixed scale has no entry for others.

    Raises:
      InputError: the run has no checkpoint, or scores that cannot be read or written.
    """
    fixed = run.task.model.fixed_scale
    key = photos.key(lr_size, VERSION)
    network = None
    found = {}
    for scale in scales:
        if fixed is not None and scale.axes != (fixed, fixed):
            continue
        path = run.folder / SCORES / f"{key}_x{scale.label}.json"
        try:
            if not path.exists():
                network = network or load_network(run.folder, name="network")
                measured = _measured(network, photos.crops(scale, lr_size), scale)
                path.parent.mkdir(exist_ok=True)
                with atomic_path(path) as temporary:
                    temporary.write_text(json.dumps(measured), encoding="utf-8")
            found[scale.label] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise InputError(f"{path} cannot be read or written: {error}") from error
    return found


def _measured(network: NetworkUpscaler, crops: Crops, scale: Scale) -> Entry:
    upscalers = [_Keeping(ResampleUpscaler("bicubic")), _Keeping(network)]
    results = evaluate(upscalers, crops, [scale], PROTOCOL, "crops")
    truths = [luma(make_pair(crops[i], scale, PROTOCOL.lr_kernel)[1]) for i in range(len(crops))]
    document: Entry = {"photos": crops.photos}
    for upscaler in upscalers:
        pairs = zip(map(luma, upscaler.outputs), truths, strict=True)
        document[upscaler.name] = {
            **_by_crop(results.row(upscaler.name, scale).images),
            "spectrum": _spectrum(compare(pairs, scale.rows)),
        }
    return document


def _by_crop(images: Sequence[ImageScore]) -> dict[str, list[float]]:
    names = ("psnr_y", "ssim", "lr_psnr")
    return {name: [min(image.scores[name], MAX_DB) for image in images] for name in names}


def _spectrum(spectra: Spectra) -> Entry:
    """Frequencies in cycles per LR pixel, and the spectra and means of `Spectra` at them."""
    return {
        "frequency": spectra.frequency.tolist(),
        "output_power": spectra.output_power.tolist(),
        "truth_power": spectra.truth_power.tolist(),
        "coherence": spectra.coherence.tolist(),
        "energy_ratio": spectra.energy_ratio(),
        "mean_coherence": spectra.mean_coherence(),
    }
