"""The frequency matrices: their values, how far they moved, how many functions they span."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inr_sr.evaluation.spectra import LR_NYQUIST

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
QUERY = "frequencies_query"
"""The matrix of the attention's queries; the others make the waves of the output."""


@dataclass(frozen=True)
class Region:
    """The square over which waves are evaluated from one origin.

    Attributes:
      name: for readers.
      start: of the square along both axes, in the coordinates of the waves, LR pixels.
      side: LR pixels.
    """

    name: str
    start: float
    side: float


@dataclass(frozen=True)
class FrequencyMatrix:
    """One matrix of K waves, or several taken together.

    Attributes:
      first, now: [K, 2] at the start of the training run and now, cycles per LR pixel.
      moved: |B - B_0| / |B_0|, Frobenius norms; NaN where the latter is 0.
      length: quantiles of |b| in cycles per LR pixel, by name ("0.05" ... "max").
      beyond_lr: share of waves with |b| above the LR Nyquist frequency.
      beyond_output: share above the Nyquist frequency of the output, s / 2.
      beyond_trained: share above that of the largest scale, of this output or in training.
      closest: minimum distance of two frequencies, where b and -b are the same; NaN of one wave.
      gap: see `gap`, up to the output's Nyquist frequency.
      effective_rank: see `effective_rank`, at the output pixels of the region.
      most: its maximum: the number of cosines and sines, or of those pixels if there are fewer.
    """

    first: np.ndarray
    now: np.ndarray
    moved: float
    length: dict[str, float]
    beyond_lr: float
    beyond_output: float
    beyond_trained: float
    closest: float
    gap: float
    effective_rank: float
    most: float

    @classmethod
    def of(
        cls, first: np.ndarray, now: np.ndarray, region: Region, scale: float, trained: float
    ) -> FrequencyMatrix:
        """Measures frequencies [K, 2].

        Args:
          first, now: at the start of the training run, and now.
          region: where the waves are evaluated.
          scale: output pixels per LR pixel.
          trained: the largest scale in training.
        """
        first, now = (b.astype(np.float64) for b in (first, now))
        length = np.linalg.norm(now, axis=1)
        pixels = pixels_along(region, scale)
        return cls(
            first=first,
            now=now,
            moved=moved(first, now),
            length={
                **{str(q): float(np.quantile(length, q)) for q in QUANTILES},
                "max": float(length.max()),
            },
            beyond_lr=float(np.mean(length > LR_NYQUIST)),
            beyond_output=float(np.mean(length > scale / 2)),
            beyond_trained=float(np.mean(length > max(scale, trained) / 2)),
            closest=closest(now),
            gap=gap(now, scale / 2),
            effective_rank=effective_rank(now, region.start, region.side, pixels),
            most=min(2.0 * len(now), pixels**2),
        )


@dataclass(frozen=True)
class Frequencies:
    """All matrices of a network.

    Attributes:
      region: where the waves are evaluated.
      matrices: by name.
      together: all but QUERY as one matrix.
      gradient_ratio: see `gradient_ratio`.
    """

    region: Region
    matrices: dict[str, FrequencyMatrix]
    together: FrequencyMatrix
    gradient_ratio: float


def measure(
    first: Mapping[str, np.ndarray],
    now: Mapping[str, np.ndarray],
    rows: Sequence[Mapping[str, float]],
    region: Region,
    scale: float,
    trained: float,
) -> Frequencies:
    """Measures the matrices of a network; see `FrequencyMatrix.of` and `gradient_ratio`."""
    drawing = [name for name in now if name != QUERY]

    def together(matrices: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([matrices[name] for name in drawing])

    return Frequencies(
        region=region,
        matrices={n: FrequencyMatrix.of(first[n], now[n], region, scale, trained) for n in now},
        together=FrequencyMatrix.of(together(first), together(now), region, scale, trained),
        gradient_ratio=gradient_ratio(rows),
    )


def moved(first: np.ndarray, now: np.ndarray) -> float:
    """|B - B_0| / |B_0| of Frobenius norms; NaN where B_0 is 0."""
    start = float(np.linalg.norm(first))
    return float(np.linalg.norm(now - first)) / start if start else math.nan


def closest(frequencies: np.ndarray) -> float:
    """Minimum distance of two of [K, 2], where b and -b are the same; NaN of fewer than two."""
    if len(frequencies) < 2:
        return math.nan
    apart = _apart(frequencies, frequencies)
    return float(apart[~np.eye(len(frequencies), dtype=bool)].min())


def gap(frequencies: np.ndarray, reach: float) -> float:
    """The distance to the nearest of [K, 2] within which 95 % of all f with |f| <= reach lie.

    b and -b are the same. The f are a lattice of spacing reach / 50 in half the disc; the farthest
    5 % lie at its edge and matter least.
    """
    row, col = np.meshgrid(np.linspace(0, reach, 51), np.linspace(-reach, reach, 101))
    places = np.stack([row, col], axis=-1).reshape(-1, 2)
    places = places[np.linalg.norm(places, axis=1) <= reach]
    return float(np.quantile(_apart(places, frequencies).min(axis=1), 0.95))


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distances [N, K] of frequencies [N, 2] and [K, 2], where b and -b are the same."""
    one, other = one[:, None], other[None]
    minus, plus = (np.linalg.norm(x, axis=-1) for x in (one - other, one + other))
    apart: np.ndarray = np.minimum(minus, plus)
    return apart


def pixels_along(region: Region, scale: float) -> int:
    """Output pixels along a side of a region, `scale` of them per LR pixel."""
    return max(1, round(scale * region.side))


def effective_rank(frequencies: np.ndarray, start: float, side: float, count: int) -> float:
    """Number of independent functions among the cosines and sines of waves on a grid of queries.

    exp of the entropy of the normalised singular values of the basis [cos, sin](2 pi b x) (Roy and
    Vetterli 2007): K orthogonal waves have 2 K, K equal ones 2, and K constant ones 1. The basis is
    never evaluated: the inner products of its columns have a closed form.

    Args:
      frequencies: [K, 2] in cycles per LR pixel.
      start: of the square that the grid fills, along both axes, LR pixels.
      side: of the square, LR pixels.
      count: queries along a side, at the centres of `count` equal parts.
    """
    one, other = frequencies[:, None], frequencies[None]
    plus, minus = (_mean_wave(b, start, side, count) for b in (one + other, one - other))
    cos, sin = (minus + plus).real / 2, (minus - plus).real / 2
    mixed = (plus.imag - minus.imag) / 2  # of cos of the one and sin of the other
    gram = np.block([[cos, mixed], [mixed.T, sin]])
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))
    share = values / values.sum()
    share = share[share > 0]
    return float(np.exp(-(share @ np.log(share))))


def _mean_wave(b: np.ndarray, start: float, side: float, count: int) -> np.ndarray:
    """Mean of e^(2 pi i b x) over the grid, complex [...], of b [..., 2]: Dirichlet's kernel."""
    middle = 2j * np.pi * (start + side / 2) * b.sum(axis=-1)
    turn = np.pi * side * b / count  # half of that from one query to the next
    alias = np.round(turn / np.pi)  # whole turns change nothing at the queries but the sign
    turn = turn - np.pi * alias
    sign = np.where(alias * (count - 1) % 2, -1.0, 1.0)
    small = np.abs(turn) < 1e-9
    ratio = np.sin(count * turn) / (count * np.sin(np.where(small, 1.0, turn)))
    mean: np.ndarray = np.exp(middle) * (sign * np.where(small, 1.0, ratio)).prod(axis=-1)
    return mean


def gradient_ratio(rows: Sequence[Mapping[str, float]]) -> float:
    """Gradient norm of the frequencies over that of all else, mean over rows; NaN without any."""
    ratios = []
    for row in rows:
        if "frequency_gradient_norm" in row and "gradient_norm" in row:
            own = row["frequency_gradient_norm"]
            rest = row["gradient_norm"] ** 2 - own**2
            if rest > 0:
                ratios.append(own / math.sqrt(rest))
    return float(np.mean(ratios)) if ratios else math.nan
