"""Losses as named terms; what is minimised is their weighted sum, and each is logged."""

import functools
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from inr_sr.errors import InputError

CHARBONNIER_EPSILON = 1e-3


def l1(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean |error| over [B, Q, 3]."""
    return jnp.mean(jnp.abs(prediction - target))


def charbonnier(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean sqrt(error^2 + epsilon^2), a smooth L1 (arXiv 1710.01992)."""
    return jnp.mean(jnp.sqrt(jnp.square(prediction - target) + CHARBONNIER_EPSILON**2))


def mse(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared error over [B, Q, 3]."""
    return jnp.mean(jnp.square(prediction - target))


def fourier(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean difference of Fourier magnitudes of square windows, orthonormal transform.

    [B, Q, 3] are square windows of sqrt(Q) pixels a side, row by row (data.layout = window).
    """
    side = math.isqrt(prediction.shape[1])

    def magnitude(x: jax.Array) -> jax.Array:
        spectrum = jnp.fft.rfft2(x.reshape(-1, side, side, 3), axes=(1, 2), norm="ortho")
        # |0| has no gradient; epsilon keeps the square root's finite.
        return jnp.sqrt(jnp.square(spectrum.real) + jnp.square(spectrum.imag) + 1e-12)

    return jnp.mean(jnp.abs(magnitude(prediction) - magnitude(target)))


TERMS = {"l1": l1, "charbonnier": charbonnier, "mse": mse, "fourier": fourier}


def check(weights: Mapping[str, float], layout: str) -> dict[str, float]:
    """The terms of non-zero weight.

    Raises:
      InputError: no term is left, a weight is negative or not finite, or a term does not fit the
        layout.
    """
    used = {name: float(w) for name, w in weights.items() if w}
    if not used or not all(0 < weight < math.inf for weight in used.values()):
        raise InputError(
            f"loss weights {dict(weights)} must be finite and >= 0, at least one of them above 0"
        )
    if "fourier" in used and layout != "window":
        raise InputError("loss.fourier needs data.layout = 'window': it compares whole squares")
    return used


def terms(
    weights: Mapping[str, float], prediction: jax.Array, target: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The weighted sum, and every unweighted term by its name."""
    values = {name: TERMS[name](prediction, target) for name in weights}
    weighted = [weights[name] * value for name, value in values.items()]
    return functools.reduce(jnp.add, weighted), values
