"""Parts of the modulated decoder: layers on Fourier features, bands, nearest tokens."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from inr_sr.errors import InputError


class Affine(NamedTuple):
    """x W + b, for kernel W [inputs, outputs] and bias b [outputs]."""

    kernel: jax.Array
    bias: jax.Array

    def __call__(self, x: jax.Array) -> jax.Array:
        out = jnp.dot(x.astype(self.kernel.dtype), self.kernel)
        return out + self.bias.reshape((1,) * (out.ndim - 1) + (-1,))


class FourierLayer(NamedTuple):
    """W g(x; B): a linear layer on the cosines and sines of 2 pi B x.

    In all methods `fade` is the attenuation of each wave, [K] or [..., K].

    Attributes:
      frequencies: B, [K, 2] in cycles per LR pixel.
      layer: W, from 2K features to d.
    """

    frequencies: jax.Array
    layer: Affine

    def __call__(self, position: jax.Array, fade: jax.Array) -> jax.Array:
        """The layer's output [..., d] at positions [..., 2], LR pixels."""
        turn = 2 * jnp.pi * self.phases(position)
        return self.of_waves(jnp.cos(turn), jnp.sin(turn), fade)

    def on_grid(self, rows: jax.Array, cols: jax.Array, fade: jax.Array) -> jax.Array:
        """The output [..., n, m, d] for all pairs of rows [..., n] and cols [..., m], LR pixels.

        Cosines and sines are taken along each axis alone, and combined by the addition theorems.
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

    def phases(self, position: jax.Array) -> jax.Array:
        """B x, [..., K] in turns; not a matrix product, which a GPU may round to ten bits."""
        row, col = (b.reshape((1,) * (position.ndim - 1) + (-1,)) for b in self.frequencies.T)
        turns: jax.Array = position[..., 0, None] * row + position[..., 1, None] * col
        return turns

    def of_waves(self, cos: jax.Array, sin: jax.Array, fade: jax.Array) -> jax.Array:
        """The output [..., d] for cosines and sines [..., K]."""
        fade = fade.reshape((1,) * (cos.ndim - fade.ndim) + fade.shape)
        return self.layer(jnp.concatenate([fade * cos, fade * sin], axis=-1))


class Band(NamedTuple):
    """One band: W_l g, P_l [heads, d / heads, d], the layers H of Res, and O_l."""

    waves: FourierLayer
    projection: jax.Array
    layers: tuple[Affine, ...]
    output: Affine


class Location(NamedTuple):
    """Where queries lie on the token lattice.

    Attributes:
      token: int32 [B, Q, 2] the token's cell (row, col), counted from the first token.
      offset: [B, Q, 2] from that cell's centre, LR pixels.
      position: [B, Q, 2] from the corner of the first token's cell, LR pixels.
    """

    token: jax.Array
    offset: jax.Array
    position: jax.Array


def nearest_offsets(count: int) -> tuple[tuple[int, int], ...]:
    """Offsets (row, col) of the `count` lattice cells nearest to one of them, nearest first.

    Raises:
      InputError: the count would split a group of cells at the same distance.
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
