"""Colours on a grid, strip by strip: memory does not grow with the output, caches hold the work."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from inr_sr.coordinates import Axis, aligned
from inr_sr.errors import InputError
from inr_sr.models.field import SKIP_REACH, Field, take, take_on_host
from inr_sr.render.whole import Tables, rendered, tables

STRIP_BYTES = 3 * 2**20
"""About how much the work on a strip takes.

More leaves a processor's caches; less is all spent on starting programs.
"""
ACCELERATOR_STRIP_BYTES = 2**28
"""The same on accelerators, which have no such cache and take longer to start a program."""
ONE_STRIP = 5
"""Up to so many strips' bytes are one strip: to start further programs would take longer."""


class Strip(NamedTuple):
    """Some consecutive output rows.

    Attributes:
      rows: which of the axis' output rows.
      colours: float32 [B, some rows, len(cols), 3], not clipped.
    """

    rows: slice
    colours: np.ndarray


def strips(field: Field, rows: Axis, cols: Axis) -> Iterator[Strip]:
    """Colours on a grid from top to bottom, equal to `grid`; runs on the host.

    However large the output is, it holds no more beside the field than some 2 * ONE_STRIP *
    STRIP_BYTES (ACCELERATOR_STRIP_BYTES there), or three times the output of one LR row where that
    is more, and pictures of the field's height as wide as the output.

    Args:
      field: over [B, h, w] LR pixels.
      rows, cols: from `coordinates.grid_axis` or `coordinates.window_axis`.

    Yields:
      The output in strips of whole LR rows.

    Raises:
      InputError: as `grid`, or a field that lies on several devices; at the first strip.
    """
    begun = ((outputs, render_strip(*arguments)) for outputs, arguments in calls(field, rows, cols))
    done = 0
    for outputs, made in _one_ahead(begun):
        colours = np.asarray(made)
        new = slice(done - outputs.start, outputs.stop - outputs.start)
        yield Strip(slice(done, outputs.stop), colours[:, new, : len(cols)])
        done = outputs.stop


def _one_ahead(strips: Iterator[Any]) -> Iterator[Any]:
    """Each after the next was begun: what the host does with one overlaps with making another."""
    last = next(strips)
    for strip in strips:
        yield last
        last = strip
    yield last


def calls(field: Field, rows: Axis, cols: Axis) -> Iterator[tuple[slice, tuple[Any, ...]]]:
    """The output rows that each strip holds, and the arguments of `render_strip` that make it.

    Strips are of one height, so the last ones may overlap. Rows and columns are padded to lengths
    that other grids of as many cells and about this scale share, and the compiled programs too.
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
    placed = jax.device_put((rows, cols), device)
    for first in range(0, rows.count, count):
        first = min(first, rows.count - count)
        begin, end = np.searchsorted(cell, (first, first + count)).tolist()
        function = field.function
        if aligned(rows, cols):  # else a turned copy is made, and cutting it out is free
            run = dataclasses.replace(rows, first=np.int32(first), count=count)
            function = function.cut(run, cols, functools.partial(take_on_host, run, cols))
        yield slice(begin, end), (function, whole, *placed, first, begin, count, length)


def _rows_at_once(field: Field, rows: Axis, cols: Axis) -> int:
    """LR rows per strip, so that all strips are of one height."""
    row_bytes = field.batch * cols.count * rows.slots * cols.slots * 3 * 4
    if not aligned(rows, cols):
        row_bytes += sum(x.nbytes for x in jax.tree.leaves(field)) // rows.count
    limit = STRIP_BYTES if _device(field).platform == "cpu" else ACCELERATOR_STRIP_BYTES
    if rows.count * row_bytes <= ONE_STRIP * limit:
        return rows.count
    strips = -(-rows.count // max(1, limit // row_bytes))
    return -(-rows.count // strips)


def _device(tree: Any) -> jax.Device:
    """The one device that holds a field."""
    devices = jax.tree.leaves(tree)[0].devices()
    if len(devices) > 1:
        raise InputError(f"strips are of a field on one device, not spread over {len(devices)}")
    (device,) = devices
    return device


_tables = jax.jit(tables)


@functools.partial(jax.jit, static_argnames=("count", "length"))
def render_strip(
    function: Any,
    whole: Tables,
    rows: Axis,
    cols: Axis,
    first: Any,
    begin: Any,
    count: int,
    length: int,
) -> jax.Array:
    """Output rows begin .. begin + length, which the cells first .. first + count hold."""
    part = rows.part(first, count, begin, length)
    if not aligned(rows, cols):
        function = function.cut(part, cols, functools.partial(take, part, cols))

    def run(x: jax.Array, size: int, axis: int) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(x, first, size, axis)

    tables = Tables(
        wide=jax.tree.map(lambda x: run(x, count + 2 * SKIP_REACH, 1), whole.wide),
        per_row=jax.tree.map(lambda x: run(x, count, 0), whole.per_row),
        shared=whole.shared,
    )
    return rendered(function, tables, part, cols)


def programs() -> int:
    """Programs compiled so far in this process for strips."""
    return int(render_strip._cache_size()) + int(_tables._cache_size())  # type: ignore[attr-defined]
