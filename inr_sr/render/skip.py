"""The bicubic skip: four taps per axis of the LR picture that a field carries."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis
from inr_sr.models.field import SKIP_REACH
from inr_sr.resampling import cubic


class Taps(NamedTuple):
    """Where output pixels take their colours along an axis: pixels [..., 4], and their weights."""

    pixel: jax.Array
    weight: jax.Array


def taps(cell: Any, delta: Any) -> Taps:
    """Indices [..., 4] into the picture framed by SKIP_REACH, and their cubic weights."""
    low = jnp.where(delta < 0, -1, 0).astype(jnp.int32)
    fraction = delta - low.astype(delta.dtype)  # position after the tap at cell + low
    offsets = jnp.arange(-1, 3, dtype=jnp.int32).reshape((1,) * cell.ndim + (4,))
    index = (cell + low)[..., None] + offsets + SKIP_REACH
    return Taps(index, cubic(fraction[..., None] - offsets.astype(delta.dtype), xp=jnp))


def at_points(image: jax.Array, cell: jax.Array, delta: jax.Array) -> jax.Array:
    """Bicubic values [B, Q, 3] of the framed picture at queries [B, Q, 2]."""
    batch, _, width, channels = image.shape
    index, weight = taps(cell, delta)  # [B, Q, 2, 4]
    flat = (index[:, :, 0, :, None] * width + index[:, :, 1, None, :]).reshape(batch, -1, 1)
    near = jnp.take_along_axis(image.reshape(batch, -1, channels), flat, axis=1)
    near = near.reshape(batch, -1, 4, 4, channels)
    return jnp.einsum("bqijc,bqi,bqj->bqc", near, weight[:, :, 0], weight[:, :, 1])


def widened(image: jax.Array, cols: Axis) -> jax.Array:
    """The framed picture enlarged along its rows alone, [B, h + 4, len(cols), 3]."""
    index, weight = taps(cols.cell, cols.delta)
    parts = (image[:, :, index[:, t]] * weight[None, None, :, t, None] for t in range(4))
    return functools.reduce(jnp.add, parts)


def heightened(wide: jax.Array, rows: Axis) -> jax.Array:
    """A widened picture enlarged along its columns too, [B, len(rows), len(cols), 3]."""
    index, weight = taps(rows.cell, rows.delta)
    parts = (wide[:, index[:, t]] * weight[None, :, t, None, None] for t in range(4))
    return functools.reduce(jnp.add, parts)
