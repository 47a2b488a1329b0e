"""From a Field to colours: at points, or on a grid. The bicubic skip is added here.

y(x) = up(LR)(x) + field(x),   up = bicubic (a = -0.5), borders mirrored.
"""

import functools
from typing import Protocol

import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis
from inr_sr.resampling import cubic

SKIP_REACH = 2  # LR pixels that the bicubic skip sees beyond a query's cell


class Field(Protocol):
    """What a decoder makes: a residual that can be asked anywhere (see `models.decoders`)."""

    image: jax.Array

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """Residual [B, Q, 3] at offsets delta [B, Q, 2] in cells [B, Q, 2], footprint [B, 2]."""
        ...

    def grid(self, rows: Axis, cols: Axis) -> jax.Array:
        """Residual [B, len(rows), len(cols), 3]."""
        ...


def _taps(cell: jax.Array, delta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Indices [..., 4] into the picture mirrored by SKIP_REACH, and their cubic weights."""
    low = jnp.where(delta < 0, -1, 0).astype(jnp.int32)
    fraction = delta - low.astype(delta.dtype)  # position after the tap at cell + low
    offsets = jnp.arange(-1, 3, dtype=jnp.int32).reshape((1,) * cell.ndim + (4,))
    index = (cell + low)[..., None] + offsets + SKIP_REACH
    return index, cubic(fraction[..., None] - offsets.astype(delta.dtype), xp=jnp)


def _mirrored(image: jax.Array) -> jax.Array:
    reach = (SKIP_REACH, SKIP_REACH)
    return jnp.pad(image, ((0, 0), reach, reach, (0, 0)), mode="symmetric")


def points(field: Field, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
    """Colours at arbitrary queries.

    Args:
      field: over [B, h, w] LR pixels.
      cell: int32 [B, Q, 2] LR pixel of each query, (row, col).
      delta: float32 [B, Q, 2] offset from that pixel's centre, LR pixels, in [-0.5, 0.5].
      footprint: float32 [B, 2] size of an output pixel, LR pixels.

    Returns:
      float32 [B, Q, 3], not clipped.
    """
    image = _mirrored(field.image)
    batch, _, width, channels = image.shape
    index, weight = _taps(cell, delta)  # [B, Q, 2, 4]
    flat = (index[:, :, 0, :, None] * width + index[:, :, 1, None, :]).reshape(batch, -1, 1)
    taps = jnp.take_along_axis(image.reshape(batch, -1, channels), flat, axis=1)
    taps = taps.reshape(batch, -1, 4, 4, channels)
    skip = jnp.einsum("bqijc,bqi,bqj->bqc", taps, weight[:, :, 0], weight[:, :, 1])
    return skip + field.points(cell, delta, footprint)


def _interpolate(image: jax.Array, rows: Axis, cols: Axis) -> jax.Array:
    """Bicubic enlargement, four taps per axis: columns at LR height first, then rows."""
    index, weight = _taps(cols.cell, cols.delta)
    columns = (image[:, :, index[:, t]] * weight[None, None, :, t, None] for t in range(4))
    x = functools.reduce(jnp.add, columns)
    index, weight = _taps(rows.cell, rows.delta)
    lines = (x[:, index[:, t]] * weight[None, :, t, None, None] for t in range(4))
    return functools.reduce(jnp.add, lines)


def grid(field: Field, rows: Axis, cols: Axis) -> jax.Array:
    """Colours on a grid, or on the window of it that the two axes describe.

    Args:
      field: over [B, h, w] LR pixels.
      rows, cols: from `coordinates.grid_axis`.

    Returns:
      float32 [B, len(rows), len(cols), 3], not clipped.
    """
    return _interpolate(_mirrored(field.image), rows, cols) + field.grid(rows, cols)
