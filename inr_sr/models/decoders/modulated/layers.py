"""What the modulated decoder is made of: layers on Fourier features, bands, neighbouring tokens."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from inr_sr.errors import InputError


class Affine(NamedTuple):
    """x W + b."""

    kernel: jax.Array
    bias: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        out = jnp.dot(x.astype(self.kernel.dtype), self.kernel)
        return out + self.bias.reshape((1,) * (out.ndim - 1) + (-1,))


class Waves(NamedTuple):
    """A first layer on Fourier features: frequencies [K, 2], cycles per LR pixel, and its matrix.

    `fade` is [K], how strongly waves are seen at the size of an output pixel, or [..., K].
    """

    frequencies: jax.Array
    layer: Affine

    def phases(self, position: jax.Array) -> jax.Array:
        """[..., K] in turns; not a matrix product, which a GPU may round to ten bits."""
        row, col = (b.reshape((1,) * (position.ndim - 1) + (-1,)) for b in self.frequencies.T)
        return position[..., 0, None] * row + position[..., 1, None] * col

    def __call__(self, position: jax.Array, fade: jax.Array) -> jax.Array:
        """The layer's output [..., d] at positions [..., 2], LR pixels."""
        turn = 2 * jnp.pi * self.phases(position)
        return self.of_waves(jnp.cos(turn), jnp.sin(turn), fade)

    def on_grid(self, rows: jax.Array, cols: jax.Array, fade: jax.Array) -> jax.Array:
        """The same for all pairs of rows [..., n] and cols [..., m]: [..., n, m, d].

        Cosines and sines are taken along the axes alone.
        """
        b_row, b_col = (
            b.reshape((1,) * rows.ndim + (-1,)) for b in 2 * jnp.pi * self.frequencies.T
        )
        row, col = (
            (rows[..., None] * b_row)[..., None, :],
            (cols[..., None] * b_col)[..., None, :, :],
        )
        cos = jnp.cos(row) * jnp.cos(col) - jnp.sin(row) * jnp.sin(col)
        sin = jnp.sin(row) * jnp.cos(col) + jnp.cos(row) * jnp.sin(col)
        return self.of_waves(cos, sin, fade)

    def of_waves(self, cos: jax.Array, sin: jax.Array, fade: jax.Array) -> jax.Array:
        """The layer's output of waves [..., K]."""
        fade = fade.reshape((1,) * (cos.ndim - fade.ndim) + fade.shape)
        return self.layer(jnp.concatenate([fade * cos, fade * sin], axis=-1))


class Band(NamedTuple):
    """One band: its waves, P [heads, d / heads, d], the layers of Res, and O."""

    waves: Waves
    projection: jax.Array
    layers: tuple[Affine, ...]
    output: Affine


class Places(NamedTuple):
    """Where queries are.

    Attributes:
      token: int32 [B, Q, 2] the cell of the token lattice, from the first token on.
      offset: [B, Q, 2] from that cell's centre, LR pixels.
      position: [B, Q, 2] from the corner of the first token's cell, LR pixels.
    """

    token: jax.Array
    offset: jax.Array
    position: jax.Array


def ring(count: int) -> tuple[tuple[int, int], ...]:
    """The `count` cells of a lattice that are nearest to one of them, nearest first.

    Raises:
      InputError: a count that would take some of several cells that are equally near.
    """
    side = range(-math.isqrt(count) - 1, math.isqrt(count) + 2)
    near = sorted(
        ((row, col) for row in side for col in side), key=lambda n: (n[0] ** 2 + n[1] ** 2, n)
    )
    distances = [row**2 + col**2 for row, col in near]
    whole = [i for i in range(1, len(near)) if distances[i] > distances[i - 1]]
    if count not in whole:
        allowed = ", ".join(map(str, [n for n in whole if n <= 49]))
        raise InputError(f"model.modulated.nearest {count} must be 0 (all) or one of {allowed}")
    return tuple(near[:count])
