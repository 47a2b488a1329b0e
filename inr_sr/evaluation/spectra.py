"""The spectrum of an output, and its coherence with that of the ground truth.

Frequencies are radial, in cycles per LR pixel: 0.5 is the Nyquist frequency of the LR image, s / 2
that of an output at scale s. The LR image holds nothing beyond LR_NYQUIST: a method without energy
there blurs, and a method whose energy there is not coherent with the truth invents.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

LR_NYQUIST = 0.5
"""Highest frequency, in cycles per LR pixel, that the LR image can hold along an axis."""


def spectrum(plane: np.ndarray) -> np.ndarray:
    """Orthonormal Fourier transform of a plane under a Hann window, its mean removed.

    The window is divided by its root mean square, so that white noise of variance v has the
    expected power v at every frequency but the lowest.

    Args:
      plane: [h, w], such as a luma in [0, 1], each side at least 3.

    Returns:
      complex128 [h, w], in the order of `numpy.fft.fft2`.
    """
    h, w = plane.shape
    if min(h, w) < 3:
        raise ValueError(f"a spectrum needs at least 3 pixels per axis, got {plane.shape}")
    window = _hann(h)[:, None] * _hann(w)[None, :]
    values = plane.astype(np.float64)
    centred = values - np.average(values, weights=window)  # so that frequency 0 does not leak
    return np.fft.fft2(centred * (window / np.sqrt(np.mean(window**2))), norm="ortho")


def _hann(n: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(n) / n)  # periodic: three lines wide


def radial_bins(shape: tuple[int, int], scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The annuli that a spectrum is summed over; the longer side sets their width.

    Args:
      shape: (h, w) of the output.
      scale: its pixels per LR pixel, the same for both axes.

    Returns:
      Centres of the bins, float64 [n], cycles per LR pixel from 0 to scale / 2; and the bin of each
      frequency, int [h, w], in the order of `numpy.fft.fft2`: n for those in the corners beyond.
    """
    width = scale / max(shape)
    count = max(shape) // 2 + 1
    rows, cols = (np.fft.fftfreq(n) * scale for n in shape)
    radius = np.hypot(rows[:, None], cols[None, :])
    bins = np.minimum(np.floor(radius / width + 0.5).astype(np.int64), count)
    return np.arange(count) * width, bins


@dataclass(frozen=True)
class Spectra:
    """Outputs against their truths: sums over annuli and images, float64 [n] each.

    Attributes:
      frequency: centre of each annulus, cycles per LR pixel.
      count: number of Fourier coefficients in it, of all images together.
      output, truth: sum of |X|^2 and |Y|^2, X of the outputs and Y of the truths.
      cross: sum of X conj(Y). It is real: an annulus holds with each frequency its negative.
    """

    frequency: np.ndarray
    count: np.ndarray
    output: np.ndarray
    truth: np.ndarray
    cross: np.ndarray

    @property
    def output_power(self) -> np.ndarray:
        """Mean |X|^2 over annulus and images, float64 [n]."""
        power: np.ndarray = self.output / self.count
        return power

    @property
    def truth_power(self) -> np.ndarray:
        """Mean |Y|^2 over annulus and images, float64 [n]."""
        power: np.ndarray = self.truth / self.count
        return power

    @property
    def coherence(self) -> np.ndarray:
        """Correlation of outputs with truths in [-1, 1], float64 [n]; 0 where either has none.

        sum X conj(Y) / sqrt(sum |X|^2 sum |Y|^2), the Fourier ring correlation: negative where an
        output is inverted, 0 on average where it has nothing of the truth or all of it displaced.
        """
        scale = np.sqrt(self.output * self.truth)
        where, out = scale > 0, np.zeros_like(scale)
        coherence: np.ndarray = np.divide(self.cross, scale, out=out, where=where)
        return coherence

    @property
    def beyond_lr(self) -> np.ndarray:
        """Which annuli lie beyond LR_NYQUIST, bool [n]."""
        beyond: np.ndarray = self.frequency > LR_NYQUIST
        return beyond

    def energy_ratio(self) -> float:
        """Energy of outputs beyond LR_NYQUIST over that of the truths; NaN if they have none.

        At 1 there is as much as in the truths; `mean_coherence` says how much of it is right.
        """
        above = self.beyond_lr
        truth = float(self.truth[above].sum())
        return float(self.output[above].sum()) / truth if truth > 0 else math.nan

    def mean_coherence(self) -> float:
        """Mean coherence beyond LR_NYQUIST, weighted by the truths' energy; NaN of none."""
        above = self.beyond_lr
        truth = float(self.truth[above].sum())
        return float(self.truth[above] @ self.coherence[above]) / truth if truth else math.nan


def compare(pairs: Iterable[tuple[np.ndarray, np.ndarray]], scale: float) -> Spectra:
    """The Spectra of (output, truth) pairs of planes, such as lumas, all of one shape [h, w].

    Args:
      pairs: at least one.
      scale: pixels per LR pixel, the same for both axes.

    Raises:
      ValueError: no pair, or planes of different shapes.
    """
    sums: np.ndarray | None = None
    shape: tuple[int, ...] = ()
    images = 0
    for output, truth in pairs:
        if sums is None:
            shape = truth.shape
            frequency, bins = radial_bins((shape[0], shape[1]), scale)
            sums = np.zeros((3, len(frequency)))
        if output.shape != shape or truth.shape != shape:
            raise ValueError(f"planes of {output.shape} and {truth.shape} among those of {shape}")
        X, Y = spectrum(output), spectrum(truth)
        terms = np.abs(X) ** 2, np.abs(Y) ** 2, (X * Y.conj()).real
        sums += [_by_annulus(term, bins, len(frequency)) for term in terms]
        images += 1
    if sums is None:
        raise ValueError("no images to compare")
    count = _by_annulus(np.ones(shape), bins, len(frequency))
    return Spectra(frequency, count * images, *sums)


def _by_annulus(values: np.ndarray, bins: np.ndarray, count: int) -> np.ndarray:
    """Sums of values [h, w] over the bins of `radial_bins`, float64 [count]."""
    return np.bincount(bins.ravel(), values.ravel(), minlength=count + 1)[:count]
