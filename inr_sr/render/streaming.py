"""Colours on a grid, streamed in strips of rows: memory does not grow with the output's height."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from inr_sr.coordinates import Axis, Integer, aligned
from inr_sr.errors import InputError
from inr_sr.models.field import SKIP_REACH, Field, FieldFunction, take, take_on_host
from inr_sr.render.whole import Tables, rendered, tables

STRIP_BYTES = 3 * 2**20
"""Approximate working memory of a strip on a CPU.

More does not fit a processor's caches; with less, dispatching dominates.
"""
ACCELERATOR_STRIP_BYTES = 2**28
"""The same on accelerators, which have no such caches and where a dispatch takes longer."""
MAX_MERGED = 5
"""An output of up to this many strips is rendered as one: dispatching more would take longer."""


Begun = TypeVar("Begun")
Arguments = tuple[FieldFunction, Tables, Axis, Axis, int, int, int, int]
"""Those of `render_strip`."""


class Strip(NamedTuple):
    """Some consecutive output rows.

    Attributes:
      rows: the range of output rows.
      colours: float32 [B, rows, len(cols), 3], not clipped.
    """

    rows: slice
    colours: np.ndarray


def strips(field: Field, rows: Axis, cols: Axis) -> Iterator[Strip]:
    """Colours on a grid from top to bottom, equal to `grid`; called on the host, not in a program.

    Beside the field it holds the LR image enlarged along its rows only, and about 2 * MAX_MERGED *
    STRIP_BYTES (ACCELERATOR_STRIP_BYTES on accelerators) or three times the output of one LR row,
    whichever is larger.

    Args:
      field: on [B, h, w] cells, on one device.
      rows, cols: from `coordinates.grid_axis` or `coordinates.window_axis`.

    Yields:
      The output in strips of whole rows of cells.

    Raises:
      InputError: as `grid`, or a field on several devices; raised at the first strip.
    """
    dispatched = (
        (outputs, render_strip(*arguments)) for outputs, arguments in strip_calls(field, rows, cols)
    )
    done = 0
    for outputs, strip in _one_ahead(dispatched):
        colours = np.asarray(strip)
        new = slice(done - outputs.start, outputs.stop - outputs.start)
        yield Strip(slice(done, outputs.stop), colours[:, new, : len(cols)])
        done = outputs.stop


def _one_ahead(strips: Iterator[Begun]) -> Iterator[Begun]:
    """Yields each item after the next was dispatched, so that host and device work overlap."""
    last = next(strips)
    for strip in strips:
        yield last
        last = strip
    yield last


def strip_calls(field: Field, rows: Axis, cols: Axis) -> Iterator[tuple[slice, Arguments]]:
    """The output rows of each strip, and the arguments of `render_strip` for it.

    Strips have one height, so the last two may overlap. Rows and columns are padded to lengths that
    depend on the number of cells and roughly on the scale, so that such grids share one program.
    """
    device = _device(field)
    field = field.cut(rows, cols, functools.partial(take_on_host, rows, cols))
    rows, cols = (dataclasses.replace(axis, first=np.int32(0)) for axis in (rows, cols))
    count = _rows_at_once(field, rows, cols)
    length = rows.longest(count)
    cell = rows.cell
    rows = rows.padded(rows.longest(rows.count) + length)
    cols = cols.padded(cols.longest(cols.count))
    whole = _tables(field, rows, cols)
    axes = jax.device_put((rows, cols), device)
    for first in range(0, rows.count, count):
        first = min(first, rows.count - count)
        begin, end = np.searchsorted(cell, (first, first + count)).tolist()
        function = field.function
        if aligned(rows, cols):  # else `render_strip` makes a rotated copy, and cutting is free
            part = dataclasses.replace(rows, first=np.int32(first), count=count)
            function = function.cut(part, cols, functools.partial(take_on_host, part, cols))
        yield slice(begin, end), (function, whole, *axes, first, begin, count, length)


def _rows_at_once(field: Field, rows: Axis, cols: Axis) -> int:
    """Rows of cells per strip; all strips have as many."""
    row_bytes = field.batch * cols.count * rows.slots * cols.slots * 3 * 4
    if not aligned(rows, cols):
        row_bytes += sum(x.nbytes for x in jax.tree.leaves(field)) // rows.count
    limit = STRIP_BYTES if _device(field).platform == "cpu" else ACCELERATOR_STRIP_BYTES
    if rows.count * row_bytes <= MAX_MERGED * limit:
        return rows.count
    strips = -(-rows.count // max(1, limit // row_bytes))
    return -(-rows.count // strips)


def _device(field: Field) -> jax.Device:
    """The one device that holds a field."""
    devices = jax.tree.leaves(field)[0].devices()
    if len(devices) > 1:
        raise InputError(f"strips need a field on one device, not on {len(devices)}")
    (device,) = devices
    return device


_tables = jax.jit(tables)


@functools.partial(jax.jit, static_argnames=("count", "length"))
def render_strip(
    function: FieldFunction,
    whole: Tables,
    rows: Axis,
    cols: Axis,
    first: Integer,
    begin: Integer,
    count: int,
    length: int,
) -> jax.Array:
    """Output rows begin .. begin + length, in the rows of cells first .. first + count."""
    part = rows.part(first, count, begin, length)
    if not aligned(rows, cols):
        function = function.cut(part, cols, functools.partial(take, part, cols))

    def rows_of(x: jax.Array, size: int, axis: int) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(x, first, size, axis)

    tables = Tables(
        wide=jax.tree.map(lambda x: rows_of(x, count + 2 * SKIP_REACH, 1), whole.wide),
        per_row=jax.tree.map(lambda x: rows_of(x, count, 0), whole.per_row),
        shared=whole.shared,
    )
    return rendered(function, tables, part, cols)


def programs() -> int:
    """Number of programs that this process has compiled for strips."""
    return int(render_strip._cache_size()) + int(_tables._cache_size())  # type: ignore[attr-defined]
