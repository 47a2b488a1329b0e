"""A field: an image as a function of position, which `render` queries at any scale.

    y(x) = up(LR)(x) + f(x)

f is the field's function, made by a decoder; up is the bicubic enlargement of the LR image that the
field carries. A field without an image is f alone. Making a field is expensive, querying it is not.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.coordinates import Axis, upright_footprint
from inr_sr.devices import PyTree, on_cpu
from inr_sr.errors import InputError
from inr_sr.resampling import CUBIC_REACH

SKIP_REACH = CUBIC_REACH  # LR pixels that the bicubic skip reads beyond a query's cell

# take(x, margin) cuts the cells of two axes out of x [B, rows + 2 margin, cols + 2 margin, ...]
Take = Callable[[jax.Array, int], jax.Array]
# points(cell, delta, footprint) -> [B, Q, 3], see `FieldFunction.points`
Points = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


GridTables = tuple[PyTree, PyTree]
"""What a function computes once for a grid: with an entry per row of cells, and for all rows."""


class FieldFunction(Protocol):
    """A function on a lattice of cells, as a decoder returns it.

    The cells are LR pixels in super-resolution; otherwise the field defines them. A FieldFunction
    is a pytree. Arrays that are not in `spatial_arrays` are shared by all cells and images.

    Attributes:
      prefers_grid: whether `grid` is cheaper than `points` for a patch of neighbouring pixels.
      spatial_arrays: names of the arrays [B, rows + 2 margin, cols + 2 margin, ...], one entry per
        LR pixel or token of each image.
      lattice: (rows, cols) of cells.
      margin: entries of spatial arrays beyond the lattice, on each side.
    """

    prefers_grid: ClassVar[bool]
    spatial_arrays: ClassVar[tuple[str, ...]]

    @property
    def lattice(self) -> tuple[int, int]: ...

    @property
    def margin(self) -> int: ...

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """Values [B, Q, 3] at arbitrary queries; arguments as of `render.points`."""
        ...

    def tables(self, rows: Axis, cols: Axis) -> GridTables:
        """Arrays that are computed once for a grid.

        Returns:
          A pytree of arrays with one entry per row of cells, and one of arrays for all rows.
        """
        ...

    def grid(self, rows: Axis, cols: Axis, tables: GridTables) -> jax.Array:
        """Values [B, len(rows), len(cols), 3]; the axes cover the whole lattice."""
        ...

    def cut(self, rows: Axis, cols: Axis, take: Take) -> Self:
        """The function on the cells of the axes alone."""
        ...


@flax.struct.dataclass
class Field:
    """An image as a function of position.

    Attributes:
      image: [B, h + 2 SKIP_REACH, w + 2 SKIP_REACH, 3] the LR image and SKIP_REACH pixels around
        it; None: no skip, the field is its function alone.
      function: a FieldFunction on [B, h, w] cells.
    """

    image: jax.Array | None
    function: FieldFunction

    @property
    def batch(self) -> int:
        """Number of images in the field."""
        return int(getattr(self.function, self.function.spatial_arrays[0]).shape[0])

    @property
    def batch_axes(self) -> "Field":
        """`in_axes` for `jax.vmap`: 0 for each array with a batch axis, None for the others."""
        shared = jax.tree.map(lambda _: None, self.function)
        axes = dict.fromkeys(self.function.spatial_arrays, 0)
        function: Any = dataclasses.replace(shared, **axes)
        return Field(None if self.image is None else 0, function)  # type: ignore[arg-type]

    def cut(self, rows: Axis, cols: Axis, take: Take) -> "Field":
        """The field on the cells of the axes alone.

        Raises:
          InputError: the cells do not lie in the field; not checked for traced axes.
        """
        for axis, cells in zip((rows, cols), self.function.lattice, strict=True):
            first = 0 if isinstance(axis.first, jax.core.Tracer) else int(axis.first)
            if not 0 <= first <= cells - axis.count:
                raise InputError(
                    f"an axis of {axis.count} cells from cell {first} on does not lie in a field "
                    f"of {cells}"
                )
        image = None if self.image is None else take(self.image, SKIP_REACH)
        return Field(image, self.function.cut(rows, cols, take))


def with_margin(x: jax.Array, halo: int, margin: int) -> jax.Array:
    """[B, h + 2 halo, w + 2 halo, C] to [B, h + 2 margin, w + 2 margin, C].

    Missing pixels are mirrored.
    """
    if halo >= margin:
        cut = halo - margin
        return x[:, cut : x.shape[1] - cut, cut : x.shape[2] - cut]
    pad = (margin - halo, margin - halo)
    return jnp.pad(x, ((0, 0), pad, pad, (0, 0)), mode="symmetric")


def take(rows: Axis, cols: Axis, x: jax.Array, margin: int) -> jax.Array:
    """Cuts the cells of two axes, and `margin` cells around them, out of an array.

    Args:
      rows, cols: axes on the array's lattice of h x w cells.
      x: [B, h + 2 margin, w + 2 margin, ...].
      margin: cells around the lattice, and around what is cut out.

    Returns:
      [B, rows.count + 2 margin, cols.count + 2 margin, ...].
    """
    size = (rows.count + 2 * margin, cols.count + 2 * margin)
    if x.shape[1:3] == size:
        return x
    start: list[Any] = [0, rows.first, cols.first, *[0] * (x.ndim - 3)]
    return jax.lax.dynamic_slice(x, start, (len(x), *size, *x.shape[3:]))


def take_on_host(rows: Axis, cols: Axis, x: jax.Array, margin: int) -> jax.Array:
    """`take` outside a program; on a CPU without a copy where rows are whole.

    Args:
      rows, cols, margin: see `take`; not traced.
      x: see `take`; on one device.

    Returns:
      As `take`, on the device of x.
    """
    (device,) = x.devices()
    if device.platform != "cpu":
        return take(rows, cols, x, margin)
    size = (rows.count + 2 * margin, cols.count + 2 * margin)
    if x.shape[1:3] == size:
        return x
    row, col = int(rows.first), int(cols.first)
    part = np.asarray(x)[:, row : row + size[0], col : col + size[1]]
    placed: jax.Array = jax.device_put(part, device, may_alias=True)
    return placed


TOKENS_PER_MLP = 64  # attended tokens that take as much memory per query as an MLP's layers


def grid_by_points(
    points: Points, batch: int, rows: Axis, cols: Axis, attended: int = 1
) -> jax.Array:
    """`FieldFunction.grid` by `points`, in chunks of bounded memory.

    Args:
      points: see `FieldFunction.points`.
      batch: number of images in the field.
      rows, cols: the axes of the grid.
      attended: tokens that a query attends to; many make chunks smaller.

    Returns:
      Values [batch, len(rows), len(cols), 3].
    """
    n_rows, n_cols = len(rows), len(cols)
    footprint = upright_footprint(jnp.stack([rows.step, cols.step]))[None, None]
    total = n_rows * n_cols
    count = min(total, max(1, _queries_per_chunk() // max(1, attended // TOKENS_PER_MLP)))

    def pairs(r: jax.Array, c: jax.Array) -> jax.Array:
        pair = jnp.stack([r, c], axis=-1)[None]
        return jnp.broadcast_to(pair, (batch, count, 2))

    def chunk(first: jax.Array) -> jax.Array:
        query = jnp.minimum(first + jnp.arange(count, dtype=jnp.int32), total - 1)
        row, col = query // n_cols, query % n_cols
        cell = pairs(jnp.asarray(rows.cell)[row], jnp.asarray(cols.cell)[col])
        delta = pairs(jnp.asarray(rows.delta)[row], jnp.asarray(cols.delta)[col])
        return points(cell, delta, footprint)

    out = jax.lax.map(chunk, jnp.arange(0, total, count, dtype=jnp.int32))
    out = jnp.moveaxis(out, 0, 1).reshape(batch, -1, 3)
    return out[:, :total].reshape(batch, n_rows, n_cols, 3)


def _queries_per_chunk() -> int:
    """Queries whose layers stay in a processor's caches, or fill an accelerator."""
    return 2**10 if on_cpu() else 2**17
