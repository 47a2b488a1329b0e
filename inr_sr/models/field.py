"""What a model makes of a picture: y(x) = up(LR)(x) + residual(x), to be asked anywhere."""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol, Self

import flax.struct
import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis
from inr_sr.errors import InputError
from inr_sr.resampling import CUBIC_REACH

SKIP_REACH = CUBIC_REACH  # LR pixels that the bicubic skip sees beyond a query's cell

# take(x, margin) cuts the cells of two axes of cells out of x [B, h + 2 margin, w + 2 margin, ...]
Take = Callable[[jax.Array, int], jax.Array]


class Residual(Protocol):
    """What a decoder makes: a function on the LR lattice (see `models.decoders`).

    Attributes:
      dense: whether a whole patch of output pixels costs less than each of them on its own.
      placed: names of its arrays [B, rows + 2 margin, cols + 2 margin, ...] by place: LR pixels, or
        tokens. In a dense one no other array has four axes or more: `render.patches` tells them by
        that.
      telling: those of them that, all at 0, leave nothing of the picture in the residual.
      lattice: LR (rows, cols).
      margin: places around those of the picture.
    """

    dense: ClassVar[bool]
    placed: ClassVar[tuple[str, ...]]
    telling: ClassVar[tuple[str, ...]]

    @property
    def lattice(self) -> tuple[int, int]: ...

    @property
    def margin(self) -> int: ...

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """Values [B, Q, 3] at arbitrary queries; the arguments are those of `render.points`."""
        ...

    def tables(self, rows: Axis, cols: Axis) -> tuple[Any, Any]:
        """What is worked out once for a grid.

        Returns:
          Arrays with an entry per LR row of `rows`, and arrays that all rows share.
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
    """A picture as a function of position.

    Attributes:
      image: [B, h + 4, w + 4, 3] the LR picture and SKIP_REACH pixels around it, or None where
        there is none: then the residual is all.
      residual: a Residual on the [B, h, w] cells inside.
    """

    image: jax.Array | None
    residual: Residual

    def cut(self, rows: Axis, cols: Axis, take: Take) -> "Field":
        """The same field over the cells of the axes alone.

        Raises:
          InputError: axes whose cells, where they are known, do not lie in the field.
        """
        for axis, cells in zip((rows, cols), self.residual.lattice, strict=True):
            first = 0 if isinstance(axis.first, jax.core.Tracer) else int(axis.first)
            if not 0 <= first <= cells - axis.count:
                raise InputError(
                    f"an axis of {axis.count} cells from cell {first} on does not lie in a field "
                    f"of {cells}"
                )
        image = None if self.image is None else take(self.image, SKIP_REACH)
        return Field(image, self.residual.cut(rows, cols, take))


def framed(x: jax.Array, halo: int, margin: int) -> jax.Array:
    """Gives x [B, h + 2 halo, w + 2 halo, C] a frame of `margin` pixels instead of `halo`.

    What is missing is mirrored.
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
