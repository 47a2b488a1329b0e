"""Colours on a grid, in one program."""

import functools
from typing import Any

import flax.struct
import jax

from inr_sr.coordinates import Axis
from inr_sr.models.field import Field, take
from inr_sr.render import skip


def grid(field: Field, rows: Axis, cols: Axis) -> jax.Array:
    """Colours on a grid, or on the window of it that the two axes describe.

    A pure function, for programs that go on with the picture. `strips` bounds the memory, and is
    several times as fast on a CPU.

    Args:
      field: over [B, h, w] LR pixels.
      rows, cols: from `coordinates.grid_axis` or `coordinates.window_axis`.

    Returns:
      float32 [B, len(rows), len(cols), 3], not clipped.

    Raises:
      InputError: axes that do not lie in the field, or a scale that its decoder does not know.
    """
    field = field.cut(rows, cols, functools.partial(take, rows, cols))
    return rendered(field.residual, tables(field, rows, cols), rows, cols)


@flax.struct.dataclass
class Tables:
    """What is worked out once for a grid.

    Attributes:
      wide: [B, h + 4, len(cols), 3] the skip's picture, enlarged along its rows; or None.
      per_row: the residual's tables with an entry per LR row.
      shared: those that all rows share.
    """

    wide: jax.Array | None
    per_row: Any
    shared: Any


def tables(field: Field, rows: Axis, cols: Axis) -> Tables:
    """Tables for a field that covers exactly the cells of the axes."""
    wide = None if field.image is None else skip.widened(field.image, cols)
    return Tables(wide, *field.residual.tables(rows, cols))


def rendered(residual: Any, tables: Tables, rows: Axis, cols: Axis) -> jax.Array:
    """The colours [B, len(rows), len(cols), 3] of a run of LR rows and their tables."""
    values: jax.Array = residual.grid(rows, cols, (tables.per_row, tables.shared))
    return values if tables.wide is None else skip.heightened(tables.wide, rows) + values
