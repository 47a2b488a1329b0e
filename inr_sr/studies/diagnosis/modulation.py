"""The modulation m(x) of a modulated field: how fast it varies, and which tokens it comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.coordinates import cells, located, upright_footprint
from inr_sr.devices import PyTree
from inr_sr.evaluation.spectra import Spectra, compare
from inr_sr.models.decoders.modulated import CellwiseModulatedFunction
from inr_sr.studies.diagnosis.output_quality import share_beyond

SEED = 0
"""Of the places of queries."""

SPECTRUM_IMAGES = 4
"""Images that the spectrum of the modulation is taken over: it has hundreds of channels."""

AT_ONCE = 1024
"""Queries evaluated at once."""


@dataclass(frozen=True)
class Modulation:
    """The modulation m(x) of a network, over several images.

    Attributes:
      steepness: singular values of dm/dx per LR pixel, over the root mean square of |m|:
        "largest" and "smallest" of each query, their "median" and "0.95" quantile.
      rate: root mean square frequency, see `rate`.
      frequency: [n] cycles per LR pixel.
      power: [n] mean power of the channels of m at `frequency`.
      beyond_lr: share of its variance beyond the LR Nyquist frequency; NaN where m is constant.
      entropy: [heads] mean entropy of the attention over log k; NaN for one token.
      distance: [heads] mean distance of the attended tokens, LR pixels.
      tau: [heads] widths of the distance bias, LR pixels.
      attended: k, the number of tokens that a query attends to.
      spacing: of tokens, LR pixels.
    """

    steepness: dict[str, dict[str, float]]
    rate: float
    frequency: np.ndarray
    power: np.ndarray
    beyond_lr: float
    entropy: np.ndarray
    distance: np.ndarray
    tau: np.ndarray
    attended: int
    spacing: int


def measure(fields: Sequence[CellwiseModulatedFunction], out: int) -> Modulation:
    """Measures the modulation of several images.

    Args:
      fields: of one image each, all of one size.
      out: side of the output in pixels.
    """
    side = fields[0].lattice[0]
    scale = out / side
    places = scattered(side, scale)
    values, slopes = zip(*(evaluated(_sloped, field, places) for field in fields), strict=True)
    weights, squared = zip(*(evaluated(_attended, field, places) for field in fields), strict=True)
    spectra = spectrum(fields[:SPECTRUM_IMAGES], side, out)
    all_weights, all_squared = np.concatenate(weights), np.concatenate(squared)
    return Modulation(
        steepness=steepness(np.concatenate(values), np.concatenate(slopes)),
        rate=rate(values, slopes),
        frequency=spectra.frequency,
        power=spectra.truth_power,
        beyond_lr=share_beyond(spectra),
        entropy=relative_entropy(all_weights),
        distance=attended_distance(all_weights, all_squared),
        tau=np.exp(np.asarray(fields[0].log_tau, np.float64)),
        attended=all_weights.shape[1],
        spacing=fields[0].spacing,
    )


@jax.jit
def _sloped(field: CellwiseModulatedFunction, queries: Queries) -> tuple[jax.Array, jax.Array]:
    """Modulation [B, Q, d] and dm/dx [B, Q, d, 2], per LR pixel."""
    return modulation(field, queries), jacobian(field, queries)


def modulation(field: CellwiseModulatedFunction, queries: Queries) -> jax.Array:
    """The modulation m [B, Q, d], heads one after the other."""
    m = field.modulation(*queries)
    return m.reshape(*m.shape[:2], -1).astype(jnp.float32)


def jacobian(field: CellwiseModulatedFunction, queries: Queries) -> jax.Array:
    """dm/dx [B, Q, d, 2], per LR pixel; all queries move alike, as each depends on its own only."""

    def moved(by: jax.Array) -> jax.Array:
        return modulation(field, queries._replace(delta=queries.delta + by[None, None]))

    slopes: jax.Array = jax.jacfwd(moved)(jnp.zeros(2, jnp.float32))
    return slopes


@jax.jit
def _attended(field: CellwiseModulatedFunction, queries: Queries) -> tuple[jax.Array, jax.Array]:
    weights, squared = field.attention(*queries)
    return weights.astype(jnp.float32), squared


def steepness(values: np.ndarray, slopes: np.ndarray) -> dict[str, dict[str, float]]:
    """See `Modulation`.

    Args:
      values: [Q, d].
      slopes: [Q, d, 2].
    """
    size = math.sqrt(float(np.mean(np.sum(np.square(values, dtype=np.float64), axis=1))))
    singular = np.linalg.svd(slopes.astype(np.float64), compute_uv=False)
    relative = singular / size if size else np.full_like(singular, math.nan)
    return {
        name: {
            "median": float(np.median(column)),
            "0.95": float(np.quantile(column, 0.95)),
        }
        for name, column in zip(("largest", "smallest"), relative.T, strict=True)
    }


def rate(values: Sequence[np.ndarray], slopes: Sequence[np.ndarray]) -> float:
    """Root mean square frequency of m, cycles per LR pixel; NaN where it is constant.

    The slope of a wave e^(2 pi i f x) is 2 pi f times its value, so f follows from their mean
    squares. Unlike a spectrum, this leaves out the jumps between the cells of the tokens.

    Args:
      values: [Q, d] of each image.
      slopes: [Q, d, 2] of each image.
    """
    variance = [np.var(v.astype(np.float64), axis=0).sum() for v in values]
    squared = [np.square(s, dtype=np.float64).sum(axis=(1, 2)).mean() for s in slopes]
    total = float(np.mean(variance))
    return math.sqrt(float(np.mean(squared)) / total) / (2 * math.pi) if total else math.nan


def spectrum(fields: Sequence[CellwiseModulatedFunction], side: int, out: int) -> Spectra:
    """Spectra of the channels of m on the grid of an output of out x out pixels."""
    queries = on_grid(side, out)

    def planes(field: CellwiseModulatedFunction) -> np.ndarray:
        found: np.ndarray = evaluated(jax.jit(modulation), field, queries)
        return found.reshape(out, out, -1).transpose(2, 0, 1)

    channels = (plane for field in fields for plane in planes(field))
    return compare(((plane, plane) for plane in channels), out / side)


def relative_entropy(weights: np.ndarray) -> np.ndarray:
    """Entropy of attention [Q, k, heads] over log k, in [0, 1], mean over queries: [heads].

    1 is uniform attention, 0 attention to a single token; NaN for k = 1.
    """
    weights = weights.astype(np.float64)
    k = weights.shape[1]
    if k == 1:
        return np.full(weights.shape[2], math.nan)
    terms = weights * np.log(np.where(weights > 0, weights, 1))
    entropy: np.ndarray = -terms.sum(axis=1).mean(axis=0) / math.log(k)
    return entropy


def attended_distance(weights: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """Mean distance [heads] of attention [Q, k, heads] to tokens at [Q, k] squared distances."""
    total: np.ndarray = np.einsum("qkh,qk->h", weights, np.sqrt(squared), dtype=np.float64)
    return total / len(weights)


class Queries(NamedTuple):
    """Arguments of `field.FieldFunction.points` for one image.

    Attributes:
      cell: int32 [1, Q, 2].
      delta: float32 [1, Q, 2].
      footprint: float32 [1, 1, 2, 2].
    """

    cell: jax.Array
    delta: jax.Array
    footprint: jax.Array


def scattered(side: int, scale: float, count: int = AT_ONCE) -> Queries:
    """Queries at uniformly random places of an image of `side` LR pixels."""
    position = np.random.default_rng(SEED).uniform(0, side, (count, 2))
    cell, delta = located(position, last=side - 1)
    return _queries(cell, delta, scale)


def on_grid(side: int, out: int) -> Queries:
    """The out x out output pixels of an image of `side` LR pixels, row by row."""
    cell, delta = cells(side, out)
    pairs = [np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2) for x in (cell, delta)]
    return _queries(pairs[0], pairs[1], out / side)


def _queries(cell: np.ndarray, delta: np.ndarray, scale: float) -> Queries:
    footprint = upright_footprint(jnp.full((1, 1, 2), 1 / scale, jnp.float32))
    return Queries(jnp.asarray(cell[None]), jnp.asarray(delta[None], jnp.float32), footprint)


def evaluated(
    function: Callable[[CellwiseModulatedFunction, Queries], PyTree],
    field: CellwiseModulatedFunction,
    queries: Queries,
) -> PyTree:
    """A compiled `function(field, queries)` in parts of bounded memory: NumPy arrays [Q, ...].

    `function` returns arrays [1, Q, ...] for Q queries.
    """
    parts = [jax.tree.map(lambda x: np.asarray(x)[0], function(field, q)) for q in _parts(queries)]
    count = queries.cell.shape[1]
    return jax.tree.map(lambda *x: np.concatenate(x)[:count], *parts)


def _parts(queries: Queries) -> Iterator[Queries]:
    """AT_ONCE queries each; the last part repeats its last query, so that all share one program."""
    count = queries.cell.shape[1]
    for first in range(0, count, AT_ONCE):
        at = np.minimum(np.arange(first, first + AT_ONCE), count - 1)
        yield Queries(queries.cell[:, at], queries.delta[:, at], queries.footprint)
