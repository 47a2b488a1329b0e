"""Quality of the network's output, beside bicubic and against the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inr_sr.evaluation.metrics import MAX_DB, lr_consistency, luma, psnr, shave
from inr_sr.evaluation.protocols import get_protocol
from inr_sr.evaluation.spectra import Spectra, compare
from inr_sr.studies.diagnosis.edge_crops import EdgeCrop
from inr_sr.values import to_uint8

PROTOCOL = get_protocol("y")


@dataclass(frozen=True)
class MethodQuality:
    """The outputs of one method on the crops.

    Attributes:
      power: [n] mean power of the luma at the frequencies of `OutputQuality`.
      coherence: [n] with the truth, signed.
      energy: beyond the LR Nyquist frequency over that of the truth; NaN where that has none.
      mean_coherence: beyond it; NaN where the truth has no energy there.
      slope: of the truth on the output, see `slope`.
      psnr: of luma in dB, 8 bits, borders cut as in protocol y; mean.
      lr_psnr: LR consistency in dB, mean.
    """

    power: np.ndarray
    coherence: np.ndarray
    energy: float
    mean_coherence: float
    slope: float
    psnr: float
    lr_psnr: float


@dataclass(frozen=True)
class OutputQuality:
    """The outputs of the network and of bicubic.

    Attributes:
      frequency: [n] cycles per LR pixel.
      truth_power: [n] of the truth.
      truth_beyond_lr: share of the truth's energy beyond the LR Nyquist frequency.
      network, bicubic: the two methods.
      same_size: PSNR in dB over RGB of the x1 result against the LR image; NaN for a network of one
        other, fixed scale.
    """

    frequency: np.ndarray
    truth_power: np.ndarray
    truth_beyond_lr: float
    network: MethodQuality
    bicubic: MethodQuality
    same_size: float

    @property
    def gain(self) -> float:
        """PSNR over bicubic, dB."""
        return self.network.psnr - self.bicubic.psnr


def measure(
    crops: Sequence[EdgeCrop],
    outputs: Sequence[np.ndarray],
    bicubic: Sequence[np.ndarray],
    same_size: Sequence[np.ndarray],
) -> OutputQuality:
    """Measures outputs of crops.

    Args:
      crops: at least one.
      outputs: the network's, float32 [H, W, 3] in [0, 1].
      bicubic: the same of bicubic.
      same_size: x1 results, float32 [patch, patch, 3] in [0, 1]; or none.
    """
    spectra = spectra_of(crops, outputs)
    same = [_decibels(to_uint8(x), crop.lr) for x, crop in zip(same_size, crops)]
    return OutputQuality(
        frequency=spectra.frequency,
        truth_power=spectra.truth_power,
        truth_beyond_lr=share_beyond(spectra),
        network=_method(crops, outputs, spectra),
        bicubic=_method(crops, bicubic, spectra_of(crops, bicubic)),
        same_size=float(np.mean(same)) if same else math.nan,
    )


def spectra_of(crops: Sequence[EdgeCrop], outputs: Sequence[np.ndarray]) -> Spectra:
    """Spectra of the luma of outputs [H, W, 3] against the truth."""
    pairs = [(luma(x), luma(crop.truth)) for x, crop in zip(outputs, crops, strict=True)]
    return compare(pairs, crops[0].scale.rows)


def share_beyond(spectra: Spectra) -> float:
    """Share of the truths' energy beyond the LR Nyquist frequency; NaN where there is none."""
    total = float(spectra.truth.sum())
    return float(spectra.truth[spectra.beyond_lr].sum()) / total if total else math.nan


def slope(spectra: Spectra) -> float:
    """Regression slope of the truths on the outputs beyond LR Nyquist; NaN without any detail.

    sum X conj(Y) / sum |X|^2. It is 1 for the best guess in squared error. Below 1/2 the truth is
    nearer to no detail than to this detail: |X - Y|^2 = |Y|^2 + |X|^2 - 2 X conj(Y).
    """
    above = spectra.beyond_lr
    own = float(spectra.output[above].sum())
    return float(spectra.cross[above].sum()) / own if own else math.nan


def mean_psnr(crops: Sequence[EdgeCrop], outputs: Sequence[np.ndarray]) -> float:
    """PSNR of the luma in dB by `PROTOCOL`, mean over crops."""

    def score(output: np.ndarray, crop: EdgeCrop) -> float:
        border = PROTOCOL.border(crop.scale)
        return _decibels(*(luma(shave(x, border)) for x in (to_uint8(output), crop.truth)))

    return float(np.mean([score(x, crop) for x, crop in zip(outputs, crops, strict=True)]))


def _method(
    crops: Sequence[EdgeCrop], outputs: Sequence[np.ndarray], spectra: Spectra
) -> MethodQuality:
    pairs = zip(outputs, crops, strict=True)
    return MethodQuality(
        power=spectra.output_power,
        coherence=spectra.coherence,
        energy=spectra.energy_ratio(),
        mean_coherence=spectra.mean_coherence(),
        slope=slope(spectra),
        psnr=mean_psnr(crops, outputs),
        lr_psnr=float(np.mean([min(lr_consistency(x, c.lr), MAX_DB) for x, c in pairs])),
    )


def _decibels(image: np.ndarray, truth: np.ndarray) -> float:
    return min(psnr(image, truth), MAX_DB)
