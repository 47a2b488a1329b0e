"""Frequency matrices: how they start, and how a cell's footprint attenuates them."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

# a_k halves at the output's Nyquist, b * cell = 0.5:  exp(-kappa (2 pi)^2 / 4) = 1/2.
HALF_AT_NYQUIST = math.log(2) / math.pi**2


def annulus(inner: float, outer: float) -> Callable[..., jax.Array]:
    """Initialiser of a [K, 2] frequency matrix, uniform in inner <= |b| < outer.

    Units: cycles per LR pixel, (row, col). b and -b span the same functions, so angles cover a
    half turn, stratified so that no direction is left out.
    """

    def init(key: jax.Array, shape: tuple[int, int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        k_radius, k_angle, k_shift = jax.random.split(key, 3)
        count = shape[0]
        u = jax.random.uniform(k_radius, (count,), dtype)
        radius = jnp.sqrt(inner**2 + u * (outer**2 - inner**2))
        strata = jnp.arange(count, dtype=dtype) + jax.random.uniform(k_shift, (count,), dtype)
        angle = jnp.pi / count * jax.random.permutation(k_angle, strata)
        return jnp.stack([radius * jnp.sin(angle), radius * jnp.cos(angle)], axis=-1)

    return init


def attenuation(frequencies: jax.Array, kappa: jax.Array, footprint: jax.Array) -> jax.Array:
    """exp(-kappa (2 pi)^2 |b * footprint|^2): the heat kernel over a pixel (arXiv 2311.17643).

    Args:
      frequencies: [K, 2] in cycles per LR pixel.
      kappa: scalar >= 0.
      footprint: [..., 2] size of an output pixel in LR pixels, (row, col).

    Returns:
      [..., K] in (0, 1].
    """
    b2 = jnp.square(2 * jnp.pi * frequencies)
    return jnp.exp(-kappa * jnp.einsum("...a,ka->...k", jnp.square(footprint), b2))
