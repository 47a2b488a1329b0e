"""A field: an image as a function of position, to be queried at any scale.

    y(x) = up(LR)(x) + f(x)

`f` is the field's function, made by a decoder, and `up` the bicubic enlargement of the LR image
that the field carries; a field without an image is its function alone. Everything expensive is done
when a field is made. `render` queries it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.coordinates import Axis, upright_footprint
from inr_sr.devices import on_cpu
from inr_sr.errors import InputError
from inr_sr.resampling import CUBIC_REACH

SKIP_REACH = CUBIC_REACH  # LR pixels that the bicubic skip reads beyond a query's cell

# take(x, margin) cuts the cells of two axes out of x [B, rows + 2 margin, cols + 2 margin, ...]
Take = Callable[[jax.Array, int], jax.Array]
# points(cell, delta, footprint) -> [B, Q, 3], see `FieldFunction.points`
Points = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


class FieldFunction(Protocol):
    """What a decoder returns: a function on a lattice of cells, one file each in `models.decoders`.

    The lattice is that of the LR image in super-resolution, and the field's own otherwise. It is a
    pytree; all its arrays but those in `spatial_arrays` are shared by all cells and images.

    Attributes:
      prefers_grid: whether a patch of neighbouring output pixels costs less by `grid` than by
        `points`.
      spatial_arrays: names of its arrays [B, rows + 2 margin, cols + 2 margin, ...]: the first axis
        is the batch, the next two are places, LR pixels or tokens.
      lattice: (rows, cols) of its cells.
      margin: places around those of the lattice.
    """

    prefers_grid: ClassVar[bool]
    spatial_arrays: ClassVar[tuple[str, ...]]

    @property
    def lattice(self) -> tuple[int, int]: ...

    @property
    def margin(self) -> int: ...

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """Values [B, Q, 3] at arbitrary queries; the arguments are those of `render.points`."""
        ...

    def tables(self, rows: Axis, cols: Axis) -> tuple[Any, Any]:
        """What is computed once for a grid.

        Returns:
          Arrays with an entry per row of cells, and arrays that all rows share.
        """
        ...

    def grid(self, rows: Axis, cols: Axis, tables: tuple[Any, Any]) -> jax.Array:
        """Values [B, len(rows), len(cols), 3]; the lattice is exactly the cells of the axes."""
        ...

    def cut(self, rows: Axis, cols: Axis, take: Take) -> Self:
        """The same function on the cells of the axes alone."""
        ...


@flax.struct.dataclass
class Field:
    """An image as a function of position.

    Attributes:
      image: [B, h + 2 SKIP_REACH, w + 2 SKIP_REACH, 3] the LR image and SKIP_REACH pixels around
        it; None where there is none, and the field is its function alone.
      function: a FieldFunction on [B, h, w] cells.
    """

    image: jax.Array | None
    function: FieldFunction

    @property
    def batch(self) -> int:
        """How many images the field holds."""
        return int(getattr(self.function, self.function.spatial_arrays[0]).shape[0])

    @property
    def batch_axes(self) -> "Field":
        """The field with 0 in place of each array that has a batch axis, None for the others.

        It is what `jax.vmap` takes as `in_axes`.
        """
        shared = jax.tree.map(lambda _: None, self.function)
        axes = dict.fromkeys(self.function.spatial_arrays, 0)
        function: Any = dataclasses.replace(shared, **axes)  # type: ignore[type-var]
        return Field(None if self.image is None else 0, function)  # type: ignore[arg-type]

    def cut(self, rows: Axis, cols: Axis, take: Take) -> "Field":
        """The same field over the cells of the axes alone.

        Raises:
          InputError: axes whose cells, where they are known, do not lie in the field.
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
    """Gives x [B, h + 2 halo, w + 2 halo, C] a margin of `margin` pixels instead of `halo`.

    Pixels that are missing are mirrored.
    """
    if halo >= margin:
        cut = halo - margin
        return x[:, cut : x.shape[1] - cut, cut : x.shape[2] - cut]
    pad = (margin - halo, margin - halo)
    return jnp.pad(x, ((0, 0), pad, pad, (0, 0)), mode="symmetric")


def take(rows: Axis, cols: Axis, x: jax.Array, margin: int) -> jax.Array:
    """Cuts the cells of the axes and `margin` around them out of x [B, h + 2 margin, ...]."""
    size = (rows.count + 2 * margin, cols.count + 2 * margin)
    if x.shape[1:3] == size:
        return x
    start: list[Any] = [0, rows.first, cols.first, *[0] * (x.ndim - 3)]
    return jax.lax.dynamic_slice(x, start, (len(x), *size, *x.shape[3:]))


def take_on_host(rows: Axis, cols: Axis, x: jax.Array, margin: int) -> jax.Array:
    """`take` outside a program: on a CPU without a copy, as long as LR rows are whole."""
    (device,) = x.devices()
    if device.platform != "cpu":
        return take(rows, cols, x, margin)
    size = (rows.count + 2 * margin, cols.count + 2 * margin)
    if x.shape[1:3] == size:
        return x
    row, col = int(rows.first), int(cols.first)
    part = np.asarray(x)[:, row : row + size[0], col : col + size[1]]
    return jax.device_put(part, device, may_alias=True)


MANY = 64  # things that a query reads which take as much memory as the layers of an MLP


def _queries_per_chunk() -> int:
    """As many as stay in a processor's caches, or fill an accelerator."""
    return 2**10 if on_cpu() else 2**17


def grid_by_points(
    points: Points, batch: int, rows: Axis, cols: Axis, attended: int = 1
) -> jax.Array:
    """`FieldFunction.grid` query by query, in chunks of bounded memory.

    Args:
      points: the function, see `FieldFunction.points`.
      batch: images in the field.
      rows, cols: the grid.
      attended: how many tokens a query attends to; more make chunks smaller.

    Returns:
      Values [batch, len(rows), len(cols), 3].
    """
    n_rows, n_cols = len(rows), len(cols)
    footprint = upright_footprint(jnp.stack([rows.step, cols.step]))[None, None]
    total = n_rows * n_cols
    count = min(total, max(1, _queries_per_chunk() // max(1, attended // MANY)))

    def pairs(r: Any, c: Any) -> jax.Array:
        both = jnp.stack([jnp.asarray(r), jnp.asarray(c)], axis=-1)[None]
        return jnp.broadcast_to(both, (batch, count, 2))

    def chunk(first: jax.Array) -> jax.Array:
        query = jnp.minimum(first + jnp.arange(count, dtype=jnp.int32), total - 1)
        row, col = query // n_cols, query % n_cols
        cell = pairs(jnp.asarray(rows.cell)[row], jnp.asarray(cols.cell)[col])
        delta = pairs(jnp.asarray(rows.delta)[row], jnp.asarray(cols.delta)[col])
        return points(cell, delta, footprint)

    out = jax.lax.map(chunk, jnp.arange(0, total, count, dtype=jnp.int32))
    out = jnp.moveaxis(out, 0, 1).reshape(batch, -1, 3)
    return out[:, :total].reshape(batch, n_rows, n_cols, 3)
