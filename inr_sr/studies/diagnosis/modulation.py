"""What tokens tell the queries of a modulated field: how fast it varies, and where it is from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.evaluation.spectra import Spectra, compare
from inr_sr.models.decoders.modulated import ModulatedField
from inr_sr.studies.diagnosis.output import share_beyond
from inr_sr.studies.diagnosis.queries import Queries, asked, on_grid, scattered

PICTURES = 4
"""Of how many pictures the spectrum of the modulation is taken: it has hundreds of channels."""


@dataclass(frozen=True)
class Modulation:
    """The modulation m(x) of a network, over several pictures.

    Attributes:
      steepness: singular values of dm/dx per LR pixel over |m|, the root mean square of its norm:
        "largest" and "smallest" of each query, their "median" and "0.95" quantile.
      rate: see `rate`.
      frequency: [n] cycles per LR pixel.
      power: [n] mean power of m's channels at them.
      beyond_lr: share of m's variation beyond the LR Nyquist frequency; NaN where m is constant.
      entropy: [heads] of the attention over log k, mean; NaN for one token.
      distance: [heads] mean distance attended to, LR pixels.
      tau: [heads] widths of the distance bias, LR pixels.
      attended: k, how many tokens a query attends to.
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


def measure(fields: Sequence[ModulatedField], out: int) -> Modulation:
    """Measures the modulation of some pictures.

    Args:
      fields: of one picture each, all of one size.
      out: side of the output in pixels.
    """
    side = fields[0].lattice[0]
    scale = out / side
    places = scattered(side, scale)
    values, slopes = zip(*(asked(_sloped, field, places) for field in fields), strict=True)
    weights, squared = zip(*(asked(_attended, field, places) for field in fields), strict=True)
    spectra = spectrum(fields[:PICTURES], side, out)
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
def _sloped(field: ModulatedField, queries: Queries) -> tuple[jax.Array, jax.Array]:
    """Modulation [B, Q, d] and dm/dx [B, Q, d, 2], per LR pixel."""
    return modulation(field, queries), jacobian(field, queries)


def modulation(field: ModulatedField, queries: Queries) -> jax.Array:
    """The modulation m [B, Q, d], heads one after the other."""
    m = field.modulation(*queries)
    return m.reshape(*m.shape[:2], -1).astype(jnp.float32)


def jacobian(field: ModulatedField, queries: Queries) -> jax.Array:
    """dm/dx [B, Q, d, 2], per LR pixel: with all queries moved alike, each is its own."""

    def moved(by: jax.Array) -> jax.Array:
        return modulation(field, queries._replace(delta=queries.delta + by[None, None]))

    return jax.jacfwd(moved)(jnp.zeros(2, jnp.float32))


@jax.jit
def _attended(field: ModulatedField, queries: Queries) -> tuple[jax.Array, jax.Array]:
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

    Of a wave e^(2 pi i f x) the slope is 2 pi f times the value: so are their sums of squares. What
    jumps between the tokens' cells is left out, unlike in a spectrum.

    Args:
      values: [Q, d] of each picture.
      slopes: [Q, d, 2] of each.
    """
    variance = [np.var(v.astype(np.float64), axis=0).sum() for v in values]
    squared = [np.square(s, dtype=np.float64).sum(axis=(1, 2)).mean() for s in slopes]
    total = float(np.mean(variance))
    return math.sqrt(float(np.mean(squared)) / total) / (2 * math.pi) if total else math.nan


def spectrum(fields: Sequence[ModulatedField], side: int, out: int) -> Spectra:
    """Spectra of the channels of m on the grid of an output of out x out pixels."""
    queries = on_grid(side, out)

    def planes(field: Any) -> Any:
        return asked(jax.jit(modulation), field, queries).reshape(out, out, -1).transpose(2, 0, 1)

    channels = (plane for field in fields for plane in planes(field))
    return compare(((plane, plane) for plane in channels), out / side)


def relative_entropy(weights: np.ndarray) -> np.ndarray:
    """Entropy over log k, in [0, 1], mean over queries, of attention [Q, k, heads]: [heads].

    1: all tokens alike; 0: a single one. NaN for k = 1.
    """
    weights = weights.astype(np.float64)
    k = weights.shape[1]
    if k == 1:
        return np.full(weights.shape[2], math.nan)
    terms = weights * np.log(np.where(weights > 0, weights, 1))
    return -terms.sum(axis=1).mean(axis=0) / math.log(k)


def attended_distance(weights: np.ndarray, squared: np.ndarray) -> np.ndarray:
    """Mean distance [heads] of attention [Q, k, heads] to tokens at [Q, k] squared distances."""
    return np.einsum("qkh,qk->h", weights, np.sqrt(squared), dtype=np.float64) / len(weights)
