"""Bicubic interpolation at LR cells and offsets: what a field adds its residual to.

An image here has a margin of CUBIC_REACH pixels on each side: it is [B, h + 4, w + 4, C] for h x w
LR pixels, and no query reads beyond it.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis
from inr_sr.resampling.kernels import CUBIC_REACH, cubic


class Taps(NamedTuple):
    """The four pixels that each output pixel sums along an axis, and their weights: [..., 4]."""

    pixel: jax.Array
    weight: jax.Array


def taps_at(cell: jax.Array, delta: jax.Array) -> Taps:
    """Taps along one axis of an image with its margin.

    Args:
      cell: int32 [...] LR pixel of each query.
      delta: [...] its offset from that pixel's centre, in [-0.5, 0.5).
    """
    low = jnp.where(delta < 0, -1, 0).astype(jnp.int32)
    fraction = delta - low.astype(delta.dtype)  # position after the tap at cell + low
    offsets = jnp.arange(-1, 3, dtype=jnp.int32).reshape((1,) * cell.ndim + (4,))
    index = (cell + low)[..., None] + offsets + CUBIC_REACH
    return Taps(index, cubic(fraction[..., None] - offsets.astype(delta.dtype), xp=jnp))


def sample(image: jax.Array, cell: jax.Array, delta: jax.Array) -> jax.Array:
    """Values [B, Q, C] of `image` at queries, whose `cell` and `delta` are [B, Q, 2]."""
    batch, _, width, channels = image.shape
    index, weight = taps_at(cell, delta)  # [B, Q, 2, 4]
    flat = (index[:, :, 0, :, None] * width + index[:, :, 1, None, :]).reshape(batch, -1, 1)
    near = jnp.take_along_axis(image.reshape(batch, -1, channels), flat, axis=1)
    near = near.reshape(batch, -1, 4, 4, channels)
    return jnp.einsum("bqijc,bqi,bqj->bqc", near, weight[:, :, 0], weight[:, :, 1])


def resize_columns(image: jax.Array, cols: Axis) -> jax.Array:
    """`image` with the columns of `cols`: [B, h + 4, len(cols), C]."""
    index, weight = taps_at(jnp.asarray(cols.cell), jnp.asarray(cols.delta))
    parts = (image[:, :, index[:, t]] * weight[None, None, :, t, None] for t in range(4))
    return functools.reduce(jnp.add, parts)


def resize_rows(image: jax.Array, rows: Axis) -> jax.Array:
    """The result of `resize_columns` with the rows of `rows`: [B, len(rows), len(cols), C]."""
    index, weight = taps_at(jnp.asarray(rows.cell), jnp.asarray(rows.delta))
    parts = (image[:, index[:, t]] * weight[None, :, t, None, None] for t in range(4))
    return functools.reduce(jnp.add, parts)
