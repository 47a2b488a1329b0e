"""What a trained network is measured by: scores and spectra of crops, kept as JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.data.sources import ArraySource
from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import evaluate
from inr_sr.evaluation.metrics import MOST_DB, luma
from inr_sr.evaluation.protocols import make_pair
from inr_sr.evaluation.results import PictureScore
from inr_sr.evaluation.spectra import Spectra, compare
from inr_sr.files import atomic_path
from inr_sr.sizes import Scale, Size, parse_scales
from inr_sr.studies.experiments.experiment import PRIMARY
from inr_sr.studies.experiments.held_out import PROTOCOL, Crops, HeldOut
from inr_sr.studies.experiments.runs import Run
from inr_sr.training.checkpoints import SCORE
from inr_sr.training.export import load_network
from inr_sr.upscaling import NetworkUpscaler, ResampleUpscaler, Upscaler

SCORES = "scores"
VERSION = 2
"""Of what is measured, and how: another one makes all scores anew."""

_LOOKED_AT = 4


class _Keeping:
    """An upscaler that keeps its outputs. Without `programs`, each picture is enlarged once."""

    def __init__(self, upscaler: Upscaler) -> None:
        self.name = upscaler.name
        self.outputs: list[np.ndarray] = []
        self._upscaler = upscaler

    def upscale(self, image: np.ndarray, out_size: Size) -> np.ndarray:
        self.outputs.append(self._upscaler.upscale(image, out_size))
        return self.outputs[-1]


@dataclass(frozen=True)
class Look:
    """The glance at a network while it is trained: a few crops at one scale."""

    model: models.Model
    crops: ArraySource
    scale: Scale

    @classmethod
    def of(cls, config: ConfigDict, photos: HeldOut, lr_size: int) -> Look:
        """For the networks of a configuration; the first crop of the first photos."""
        model = models.build(config.model)
        (scale,) = parse_scales(str(model.fixed_scale or PRIMARY))
        crops = photos.crops(scale, lr_size)
        first = [crops.photos.index(photo) for photo in dict.fromkeys(crops.photos)]
        return cls(model, ArraySource([crops[i] for i in first[:_LOOKED_AT]]), scale)

    def __call__(self, params: Any) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """See `loop.Validate`."""
        upscaler = NetworkUpscaler(self.model, jax.tree.map(np.asarray, params), "network")
        found = evaluate([upscaler], self.crops, [self.scale], PROTOCOL, "crops")
        return {SCORE: min(found.rows[0].psnr_y, MOST_DB)}, {}


def scores(
    run: Run, photos: HeldOut, scales: Sequence[Scale], lr_size: int
) -> dict[str, dict[str, Any]]:
    """What a finished run reaches, by label of the scale; what was measured before is read.

    Each entry holds "photos", the photo of each crop, and for "bicubic" and "network" lists by crop
    of "psnr_y", "ssim" and "lr_psnr" (dB, no more than MOST_DB), and a "spectrum" of all crops. A
    network that knows one scale only has no entry for others.

    Raises:
      InputError: the run has no checkpoint, or scores that cannot be read or written.
    """
    fixed = models.build(run.config.model).fixed_scale
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


def _measured(network: NetworkUpscaler, crops: Crops, scale: Scale) -> dict[str, Any]:
    upscalers = [_Keeping(ResampleUpscaler("bicubic")), _Keeping(network)]
    results = evaluate(upscalers, crops, [scale], PROTOCOL, "crops")
    truths = [luma(make_pair(crops[i], scale, PROTOCOL.lr_kernel)[1]) for i in range(len(crops))]
    document: dict[str, Any] = {"photos": crops.photos}
    for upscaler in upscalers:
        pairs = zip(map(luma, upscaler.outputs), truths, strict=True)
        document[upscaler.name] = {
            **_by_crop(results.row(upscaler.name, scale).images),
            "spectrum": _spectrum(compare(pairs, scale.rows)),
        }
    return document


def _by_crop(images: Sequence[PictureScore]) -> dict[str, list[float]]:
    names = ("psnr_y", "ssim", "lr_psnr")
    return {name: [min(getattr(image, name), MOST_DB) for image in images] for name in names}


def _spectrum(spectra: Spectra) -> dict[str, Any]:
    """Frequencies in cycles per LR pixel, and what `Spectra` says of them."""
    return {
        "frequency": spectra.frequency.tolist(),
        "output_power": spectra.output_power.tolist(),
        "truth_power": spectra.truth_power.tolist(),
        "coherence": spectra.coherence.tolist(),
        "energy_ratio": spectra.energy_ratio(),
        "mean_coherence": spectra.mean_coherence(),
    }
