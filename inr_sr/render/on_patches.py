"""Colours on a patch of output pixels for each picture of a batch, each at a scale of its own."""

import jax

from inr_sr.coordinates import traced_axis, upright_footprint
from inr_sr.models.field import Field
from inr_sr.render.at_points import points
from inr_sr.render.on_grid import grid


def patches(
    field: Field, cell: jax.Array, delta: jax.Array, size: jax.Array, slots: int
) -> jax.Array:
    """Colours of dense patches, as training asks them: equal to `points`, by matrix products.

    All slots of all LR pixels are made and those of the patch are taken: for accelerators, where
    products are cheap, and adding gradients up by index is not.

    Args:
      field: over [B, h, w] LR pixels.
      cell: int32 [B, n, m, 2] LR pixel of each output pixel (row, col), rising along the axes.
      delta: float32 [B, n, m, 2] its offset from that pixel's centre, LR pixels.
      size: float32 [B, 2] of an output pixel, LR pixels.
      slots: at least the output pixels of an LR pixel along an axis: ceil of the largest scale.

    Returns:
      float32 [B, n, m, 3], not clipped.
    """
    batch, n, m, _ = cell.shape
    if not field.residual.dense:
        cell, delta = (x.reshape(batch, n * m, 2) for x in (cell, delta))
        return points(field, cell, delta, upright_footprint(size[:, None])).reshape(batch, n, m, 3)
    # Arrays over the lattice have 4 axes or more, the pictures' first; others are shared.
    lattice = jax.tree.map(lambda x: 0 if x.ndim >= 4 else None, field)

    def one(field: Field, cell: jax.Array, delta: jax.Array, size: jax.Array) -> jax.Array:
        field = jax.tree.map(lambda x: x[None] if x.ndim >= 3 else x, field)
        h, w = field.residual.lattice
        rows = traced_axis(cell[:, 0, 0], delta[:, 0, 0], size[0], h, slots)
        cols = traced_axis(cell[0, :, 1], delta[0, :, 1], size[1], w, slots)
        return grid(field, rows, cols)[0]

    out: jax.Array = jax.vmap(one, in_axes=(lattice, 0, 0, 0))(field, cell, delta, size)
    return out
