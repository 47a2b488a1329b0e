"""The conventions: where output pixels lie on the low-resolution (LR) lattice.

The unit of length is one LR pixel. Pixel i covers [i, i + 1) and its centre is i + 0.5;
output pixel j of an axis with n_in LR and n_out output pixels has its centre at
(j + 0.5) / s with s = n_out / n_in. Its footprint is the matrix J J^T, where J is the Jacobian of
LR positions by output positions: the eigenvalues are the squares of the smallest and largest extent
of the output pixel, in LR pixels.

Grids are computed in integers on the host, because floats put hundreds of pixels of a megapixel
into the wrong cell at ties (at x1.5, for example).
"""

import dataclasses
import operator
from types import ModuleType
from typing import TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.errors import InputError

Array = np.ndarray | jax.Array
"""NumPy's on the host, JAX's inside a compiled program."""
Integer = int | np.integer | jax.Array
"""An integer, which may be traced."""
SameArray = TypeVar("SameArray", np.ndarray, jax.Array)
"""An array of either kind; arguments and results of a function are of the same one."""
Cells = TypeVar("Cells", int, np.ndarray)
"""One cell or many."""


def mirrored(index: SameArray, n: int | SameArray, xp: ModuleType = np) -> SameArray:
    """Indices folded into [0, n), for an axis that is mirrored at its borders.

    The pixels at the borders are repeated: ... 1 0 | 0 1 ... n-1 | n-1 n-2 ...

    Args:
      index: integers, however far beyond the borders.
      n: pixels of the axis.
      xp: numpy or jax.numpy.
    """
    index = index % (2 * n)
    folded: SameArray = xp.minimum(index, 2 * n - 1 - index)
    return folded


def first_output(cell: Cells, n_in: int, n_out: int) -> Cells:
    """The first output pixel whose centre lies in LR cell `cell` or beyond it; integers, exact."""
    # (2j + 1) * n_in >= 2 * n_out * cell, solved for the smallest integer j.
    return -((n_in - 2 * n_out * cell) // (2 * n_in))


def cells(
    n_in: int, n_out: int, start: int = 0, stop: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """LR cell p (int32) and offset delta in [-0.5, 0.5) (float64) of outputs start..stop.

    Offsets are those of the full grid, so a window equals the crop of the whole image.
    """
    j = np.arange(start, n_out if stop is None else stop, dtype=np.int64)
    cell, remainder = np.divmod((2 * j + 1) * n_in, 2 * n_out)
    # Rounded once, so that a mirrored axis has exactly the negated offsets.
    return cell.astype(np.int32), (remainder - n_out) / (2 * n_out)


def located(
    position: SameArray, *, last: int | None = None, xp: ModuleType = np
) -> tuple[SameArray, SameArray]:
    """The LR pixel of each position, int32, and the position's offset from that pixel's centre.

    Args:
      position: floating, in LR pixels.
      last: index of the last LR pixel, if any; a position on its far border belongs to it.
      xp: numpy or jax.numpy.
    """
    cell = xp.floor(position)
    if last is not None:
        cell = xp.minimum(cell, last)
    return cell.astype(xp.int32), position - cell - 0.5


def cell_centre(cell: SameArray, side: float) -> SameArray:
    """Position along an axis of the centre of cell `cell`, for cells of length `side`."""
    return (cell + 0.5) * side


def upright_footprint(size: jax.Array) -> jax.Array:
    """Footprint of output pixels whose sides are parallel to the axes.

    Args:
      size: [..., 2] sides (row, col) in LR pixels.

    Returns:
      [..., 2, 2].
    """
    rows, cols = jnp.square(size[..., 0]), jnp.square(size[..., 1])
    none = jnp.zeros_like(rows)
    return jnp.stack([rows, none, none, cols], axis=-1).reshape(*size.shape, 2)


@flax.struct.dataclass
class Axis:
    """One axis of an output grid, or of a window of it, over a run of consecutive LR cells.

    Within a cell the output pixels sit at start, start + step, start + 2 step ...: the step is
    the same in every cell, so only `start` depends on the LR row or column. Each cell has `slots`
    places for output pixels, the most that any cell holds; `select` picks those in use.

    The arrays are NumPy's on the host, and JAX's inside a compiled program.

    Attributes:
      cell: int32[n], the cell of each output pixel, counted from the first of the run.
      delta: float32[n], its offset from that cell's centre, LR pixels, in [-0.5, 0.5).
      select: int32[n], its index among the count * slots slots.
      start: float32[count], delta of the first output pixel of each cell.
      step: float32[], distance of output pixels = their size, 1 / s.
      first: int32[], the cell of the field at which the run begins.
      count: cells of the run.
      slots: ceil(s).
      uniform: whether s is an integer, so that `start` is the same in all cells.
      whole: whether every slot is in use, so that `select` is the identity.
      eighths: 8 s rounded up to an odd number, or to a multiple of 8 if that comes first; see
        `longest`.
    """

    cell: Array
    delta: Array
    select: Array
    start: Array
    step: Array | np.floating
    first: Integer
    count: int = flax.struct.field(pytree_node=False)
    slots: int = flax.struct.field(pytree_node=False)
    uniform: bool = flax.struct.field(pytree_node=False)
    whole: bool = flax.struct.field(pytree_node=False)
    eighths: int = flax.struct.field(pytree_node=False)

    def __len__(self) -> int:
        """The number of output pixels, padding included."""
        return int(self.cell.shape[0])

    @property
    def centre(self) -> Array:
        """float32[count], the middle of each cell's slots, LR pixels from the cell's centre."""
        if self.uniform:
            return self.start * 0
        return self.start + (self.slots - 1) / 2 * self.step

    def longest(self, count: int) -> int:
        """An upper bound of the output pixels in any `count` cells, from the scale in eighths.

        Axes of about the same scale share it, and so one compiled program: rounding a size to whole
        pixels changes the scale a little, but seldom to the next eighth.
        """
        return min(-(-count * self.eighths // 8), count * self.slots)

    def padded(self, length: int) -> "Axis":
        """The axis with its last output pixel repeated until there are `length`."""

        def longer(x: Array) -> np.ndarray:
            return np.pad(x, (0, length - len(x)), mode="edge")

        return dataclasses.replace(
            self, cell=longer(self.cell), delta=longer(self.delta), select=longer(self.select)
        )

    def part(self, first: Integer, count: int, begin: Integer, length: int) -> "Axis":
        """The axis of cells first .. first + count of the run, for a field of the whole run.

        Args:
          first: may be traced.
          count: cells of the part.
          begin: the first output pixel in them, may be traced.
          length: output pixels of the part; those beyond its cells have no meaning.
        """

        def cut(x: Array, start: Integer, size: int) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(jnp.asarray(x), start, size)

        last = count * self.slots - 1
        return dataclasses.replace(
            self,
            cell=jnp.minimum(cut(self.cell, begin, length) - first, count - 1),
            delta=cut(self.delta, begin, length),
            select=jnp.minimum(cut(self.select, begin, length) - first * self.slots, last),
            start=cut(self.start, first, count),
            first=jnp.asarray(first, jnp.int32),
            count=count,
        )


def aligned(rows: Axis, cols: Axis) -> bool:
    """Whether output pixels sit at the same places in all cells: integer scales on both axes."""
    return rows.uniform and cols.uniform


def _check_growth(n_in: int, n_out: int) -> None:
    if not 1 <= n_in <= n_out:
        raise InputError(
            f"an axis of {n_in} cells cannot be rendered to {n_out} pixels, but to {n_in} or more"
        )


def grid_axis(
    n_in: int, n_out: int, *, cell: int = 0, count: int | None = None, origin: int = 0
) -> Axis:
    """The axis of the output pixels in LR cells cell .. cell + count.

    Args:
      n_in: LR pixels of the whole axis.
      n_out: output pixels of the whole axis, at least n_in.
      cell: the first cell.
      count: cells, by default all from `cell` on. Cells past n_in are allowed: they continue the
        grid, so that all tiles can have one shape.
      origin: the cell at which the field begins.

    Raises:
      InputError: n_out < n_in (shrinking is resampling of the x1 result, not rendering).
    """
    _check_growth(n_in, n_out)
    count = n_in - cell if count is None else count
    if count < 1:
        raise InputError(f"{count} cells of an axis cannot be rendered; at least 1 is allowed")
    heads = first_output(np.arange(cell, cell + count + 1), n_in, n_out)
    begin, end = heads[[0, -1]].tolist()
    heads = heads[:-1]
    p, delta = cells(n_in, n_out, begin, end)
    slots = -(-n_out // n_in)
    local = p - np.int32(cell)
    return Axis(
        cell=local,
        delta=delta.astype(np.float32),
        select=(local * slots + (np.arange(begin, end) - heads[local])).astype(np.int32),
        start=delta[heads - begin].astype(np.float32),
        step=np.float32(n_in / n_out),
        first=np.int32(cell - origin),
        count=count,
        slots=slots,
        uniform=n_out % n_in == 0,
        whole=n_out % n_in == 0,
        eighths=min(2 * -(-(8 * n_out - n_in) // (2 * n_in)) + 1, 8 * slots),
    )


def traced_axis(cell: jax.Array, delta: jax.Array, step: jax.Array, count: int, slots: int) -> Axis:
    """The axis of a run of output pixels at a traced scale.

    Args:
      cell: int32 [n] the LR cell of each output pixel, in ascending order.
      delta: float32 [n] its offset from the cell's centre.
      step: scalar, distance of output pixels.
      count: cells of the field.
      slots: at least the most output pixels in a cell, ceil(s).
    """
    # Slots count from the first pixel of the run in each cell; cells without one are not read.
    heads = jnp.searchsorted(cell, jnp.arange(count, dtype=jnp.int32)).astype(jnp.int32)
    slot = jnp.arange(cell.shape[0], dtype=jnp.int32) - heads[cell]
    return Axis(
        cell=cell,
        delta=delta,
        select=cell * slots + slot,
        start=delta[jnp.minimum(heads, cell.shape[0] - 1)],
        step=step,
        first=0,
        count=count,
        slots=slots,
        uniform=False,
        whole=False,
        eighths=8 * slots,
    )


def cells_under(n_in: int, n_out: int, window: slice) -> tuple[slice, slice]:
    """The LR cells in which the output pixels of a window of an axis lie.

    Args:
      n_in, n_out: LR and output pixels of the whole axis.
      window: output pixels, without a step.

    Returns:
      The cells, and where the window lies among all output pixels of those cells.

    Raises:
      InputError: n_out < n_in, or a window that is empty or not within the output.
    """
    try:
        start = 0 if window.start is None else operator.index(window.start)
        stop = n_out if window.stop is None else operator.index(window.stop)
        allowed = 0 <= start < stop <= n_out and window.step in (None, 1)
    except (AttributeError, TypeError):
        allowed = False
    if not allowed:
        raise InputError(
            f"{window!r} is not a window of output pixels; allowed: slices without a step, "
            f"0 <= start < stop <= {n_out}"
        )
    _check_growth(n_in, n_out)
    p, _ = cells(n_in, n_out, start, stop)
    found = slice(int(p[0]), int(p[-1]) + 1)
    skipped = start - first_output(found.start, n_in, n_out)
    return found, slice(skipped, skipped + stop - start)


def window_axis(n_in: int, n_out: int, window: slice) -> Axis:
    """The axis of a window: its output pixels alone, not all of the cells in which they lie.

    Args:
      n_in, n_out, window: see `cells_under`.

    Raises:
      InputError: see `cells_under`.
    """
    found, kept = cells_under(n_in, n_out, window)
    axis = grid_axis(n_in, n_out, cell=found.start, count=found.stop - found.start)
    return dataclasses.replace(
        axis, cell=axis.cell[kept], delta=axis.delta[kept], select=axis.select[kept], whole=False
    )
