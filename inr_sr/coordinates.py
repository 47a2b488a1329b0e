"""Where output pixels lie on the low-resolution (LR) lattice: the one place that knows.

The unit of length is one LR pixel. Pixel i covers [i, i + 1) and its centre is i + 0.5;
output pixel j of an axis with n_in LR and n_out output pixels has its centre at
(j + 0.5) / s with s = n_out / n_in. All grids are computed in host integers, because floats
put hundreds of pixels of a megapixel into the wrong cell at ties (x1.5, for one).
"""

import math
from fractions import Fraction
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.errors import InputError
from inr_sr.scales import check_scale


def output_size(n_in: int, scale: float) -> int:
    """Output pixels of an axis of `n_in` pixels enlarged by `scale`: rounded half up, >= 1.

    Exact in the decimal that the scale was written in: 100 pixels times 1.005 are 101.
    """
    return max(1, math.floor(n_in * Fraction(repr(check_scale(scale))) + Fraction(1, 2)))


def mirrored(index: Any, n: int | Any, xp: Any = np) -> Any:
    """Indices of an axis of n pixels that is mirrored at its borders, brought back into it.

    The pixels at the borders are repeated: ... 1 0 | 0 1 ... n-1 | n-1 n-2 ...

    Args:
      index: integers, however far beyond the borders.
      n: pixels of the axis.
      xp: numpy or jax.numpy.
    """
    index = index % (2 * n)
    return xp.minimum(index, 2 * n - 1 - index)


def first_output(cell: int, n_in: int, n_out: int) -> int:
    """The first output pixel whose centre lies in LR cell `cell` or beyond, exactly."""
    # (2j + 1) * n_in >= 2 * n_out * cell, solved for the smallest integer j.
    return -((n_in - 2 * n_out * cell) // (2 * n_in))


def cells(
    n_in: int, n_out: int, start: int = 0, stop: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """LR cell p (int32) and offset delta in [-0.5, 0.5) (float64) of outputs start..stop.

    The offsets always come from the full grid, so a window equals the crop of the whole.
    """
    j = np.arange(start, n_out if stop is None else stop, dtype=np.int64)
    cell, remainder = np.divmod((2 * j + 1) * n_in, 2 * n_out)
    # One rounding only, so that a mirrored axis has exactly the negated offsets.
    return cell.astype(np.int32), (remainder - n_out) / (2 * n_out)


@flax.struct.dataclass
class Axis:
    """One axis of an output grid over a run of LR cells, in the form renderers need.

    Within a cell the output pixels sit at start, start + step, start + 2 step ...: the step is
    the same in every cell, so only `start` depends on the LR row or column. `slots` is the
    largest number of output pixels in a cell; `select` picks the ones that exist.

    Attributes:
      cell: int32[n], index of each output pixel's cell within the field.
      delta: float32[n], its offset from that cell's centre, LR pixels, in [-0.5, 0.5).
      select: int32[n], index of each output pixel in the (count * slots) slot positions.
      start: float32[count], delta of the first output pixel of each cell.
      step: float32[], distance of output pixels = their footprint, 1 / s.
      first: first cell of the field that is rendered (cells before it are halo).
      count: number of cells that are rendered.
      slots: ceil(s).
    """

    cell: jax.Array
    delta: jax.Array
    select: jax.Array
    start: jax.Array
    step: jax.Array
    first: int = flax.struct.field(pytree_node=False)
    count: int = flax.struct.field(pytree_node=False)
    slots: int = flax.struct.field(pytree_node=False)


def grid_axis(
    n_in: int,
    n_out: int,
    *,
    cell: int = 0,
    count: int | None = None,
    halo: int = 0,
    length: int | None = None,
) -> Axis:
    """The output pixels of LR cells cell .. cell + count of an axis, for a field with a halo.

    Args:
      n_in: LR pixels of the whole axis.
      n_out: output pixels of the whole axis, at least n_in.
      cell: first cell rendered; `count` of them follow (default: to the axis' end). Cells past
        n_in are allowed: they continue the grid, for tiles of one shape.
      halo: cells of the field before `cell`.
      length: pads the result to this many output pixels by repeating the last one, so that one
        compiled program serves tiles that differ by a pixel. The caller cuts.

    Raises:
      InputError: n_out < n_in (shrinking is resampling of the x1 result, not rendering).
    """
    if n_out < n_in:
        raise InputError(f"an axis of {n_in} cells cannot be rendered to {n_out} pixels, fewer")
    count = n_in - cell if count is None else count
    begin, end = first_output(cell, n_in, n_out), first_output(cell + count, n_in, n_out)
    p, delta = cells(n_in, n_out, begin, end)
    heads = np.array([first_output(c, n_in, n_out) for c in range(cell, cell + count)])
    slots = -(-n_out // n_in)
    local = p - cell
    select = local * slots + (np.arange(begin, end) - heads[local])
    pad = (0, 0 if length is None else length - len(p))
    return Axis(
        cell=jnp.asarray(np.pad(local + halo, pad, mode="edge"), jnp.int32),
        delta=jnp.asarray(np.pad(delta, pad, mode="edge"), jnp.float32),
        select=jnp.asarray(np.pad(select, pad, mode="edge"), jnp.int32),
        start=jnp.asarray(delta[heads - begin], jnp.float32),
        step=jnp.asarray(n_in / n_out, jnp.float32),
        first=halo,
        count=count,
        slots=slots,
    )
