"""Colours of a field in one program: at points, on a grid, on patches of a batch.

Pure functions, for use inside compiled programs; `streaming` bounds the memory.
"""

import functools

import flax.struct
import jax

from inr_sr.coordinates import Axis, traced_axis, upright_footprint
from inr_sr.devices import PyTree
from inr_sr.models.field import Field, FieldFunction, take
from inr_sr.resampling import bicubic


def points(field: Field, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
    """Colours at arbitrary queries.

    Args:
      field: on [B, h, w] cells.
      cell: int32 [B, Q, 2] cell of each query, (row, col).
      delta: float32 [B, Q, 2] offset from that cell's centre, in [-0.5, 0.5] cells.
      footprint: float32 [B, Q, 2, 2] J J^T of each output pixel, see
        `coordinates.upright_footprint`; or [B, 1, 2, 2] where all are alike.

    Returns:
      float32 [B, Q, 3], not clipped.
    """
    values: jax.Array = field.function.points(cell, delta, footprint)
    return values if field.image is None else bicubic.sample(field.image, cell, delta) + values


def grid(field: Field, rows: Axis, cols: Axis) -> jax.Array:
    """Colours on a grid, or on a window of it.

    `strips` gives the same in bounded memory, several times as fast on a CPU.

    Args:
      field: on [B, h, w] cells.
      rows, cols: from `coordinates.grid_axis` or `coordinates.window_axis`.

    Returns:
      float32 [B, len(rows), len(cols), 3], not clipped.

    Raises:
      InputError: axes outside the field, or a scale that the decoder cannot render.
    """
    field = field.cut(rows, cols, functools.partial(take, rows, cols))
    return rendered(field.function, tables(field, rows, cols), rows, cols)


@flax.struct.dataclass
class Tables:
    """Arrays that are computed once for a grid.

    Attributes:
      wide: [B, h + 2 SKIP_REACH, len(cols), 3] the LR image enlarged to the output's width; None
        without a skip.
      per_row: the function's tables with one entry per row of cells.
      shared: the function's tables for all rows.
    """

    wide: jax.Array | None
    per_row: PyTree
    shared: PyTree


def tables(field: Field, rows: Axis, cols: Axis) -> Tables:
    """Tables of a field whose lattice the axes cover."""
    wide = None if field.image is None else bicubic.resize_columns(field.image, cols)
    return Tables(wide, *field.function.tables(rows, cols))


def rendered(function: FieldFunction, tables: Tables, rows: Axis, cols: Axis) -> jax.Array:
    """Colours [B, len(rows), len(cols), 3] from a field's function and its tables."""
    values = function.grid(rows, cols, (tables.per_row, tables.shared))
    return values if tables.wide is None else bicubic.resize_rows(tables.wide, rows) + values


def patches(
    field: Field, cell: jax.Array, delta: jax.Array, size: jax.Array, slots: int
) -> jax.Array:
    """Colours on a patch of output pixels for each image of a batch, each at a scale of its own.

    Equal to `points`. A field that `prefers_grid` renders all slots of all its cells by matrix
    products, of which the patch's are taken: faster on accelerators, where matrix products are
    cheap and scatter-adding gradients is not.

    Args:
      field: on [B, h, w] cells.
      cell: int32 [B, n, m, 2] cell (row, col) of each output pixel, ascending along the axes.
      delta: float32 [B, n, m, 2] its offset from that cell's centre, cells.
      size: float32 [B, 2] sides (row, col) of an output pixel, cells.
      slots: ceil of the largest scale: at least the output pixels of a cell along an axis.

    Returns:
      float32 [B, n, m, 3], not clipped.
    """
    batch, n, m, _ = cell.shape
    if not field.function.prefers_grid:
        cell, delta = (x.reshape(batch, n * m, 2) for x in (cell, delta))
        return points(field, cell, delta, upright_footprint(size[:, None])).reshape(batch, n, m, 3)
    axes = field.batch_axes

    def one(field: Field, cell: jax.Array, delta: jax.Array, size: jax.Array) -> jax.Array:
        single = jax.tree.map(
            lambda x, axis: x if axis is None else x[None], field, axes, is_leaf=lambda x: x is None
        )
        h, w = single.function.lattice
        rows = traced_axis(cell[:, 0, 0], delta[:, 0, 0], size[0], h, slots)
        cols = traced_axis(cell[0, :, 1], delta[0, :, 1], size[1], w, slots)
        return grid(single, rows, cols)[0]

    out: jax.Array = jax.vmap(one, in_axes=(axes, 0, 0, 0))(field, cell, delta, size)
    return out
