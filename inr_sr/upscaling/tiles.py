"""Tiles: how large they are, what lies under them, and which output pixels they make."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inr_sr import render
from inr_sr.coordinates import Axis, first_output, grid_axis, mirrored
from inr_sr.devices import out_of_memory
from inr_sr.models.field import Field
from inr_sr.sizes import Size
from inr_sr.values import to_float32, to_rgb

BUCKETS = (8, 16, 32, 64, 96, 128, 192, 256, 512)
"""Sides of tiles, LR pixels. More would waste less on padding, and compile more programs."""


def choose_tile(n: Size, halo: int, limit: int | None, fits: Callable[[Size], bool]) -> Size:
    """The square tile that computes the fewest cells, halos and padding included.

    Oblong tiles would compute some 5 % fewer for photos, and compile four times as many programs.

    Args:
      n: LR (rows, cols) of the picture.
      halo: LR pixels around a tile.
      limit: longest side allowed, which is a bucket itself; None: the longest bucket.
      fits: whether there is memory for a tile.
    """
    limit = max(BUCKETS) if limit is None else limit
    sides = sorted({limit, *(side for side in BUCKETS if side < limit)})

    def cost(side: int) -> int:
        return math.prod(-(-length // side) * (side + 2 * halo) for length in n)

    side = min([side for side in sides if fits((side, side))] or sides[:1], key=cost)
    return side, side


def whole_tile(n: Size) -> Size:
    """One tile for all of a picture."""
    return -(-n[0] // 64) * 64, -(-n[1] // 64) * 64


def smaller_tile(tile: Size, error: Exception) -> Size:
    """Half the tile after it did not fit; raises MemoryError when there is nothing to halve."""
    if not out_of_memory(error):
        raise error
    if max(tile) <= min(BUCKETS):
        raise MemoryError(f"no memory for a tile of {tile[1]}x{tile[0]} LR pixels") from error
    return max(tile[0] // 2, min(BUCKETS)), max(tile[1] // 2, min(BUCKETS))


@dataclass(frozen=True)
class Run:
    """One axis of some cells of a tile.

    Attributes:
      axis: the output pixels, for renderers; a flipped run holds up to a cell more.
      cut: those that are the run's, `Span.outputs` of the picture.
    """

    axis: Axis
    cut: slice


@dataclass(frozen=True)
class Span:
    """One axis of one tile.

    Attributes:
      n_in, n_out: LR and output pixels of the whole axis.
      end: the cell before which all output ends.
      cell, count: the cells that the tile covers, which may go past the picture's end.
      spare: cells computed beyond `count`. A pixel on the border of two cells falls into the other
        one when the axis is flipped, so that flipped runs need one.
      flip: whether the tile runs through the picture backwards.
    """

    n_in: int
    n_out: int
    end: int
    cell: int
    count: int
    spare: int = 0
    flip: bool = False

    def lines(self, halo: int) -> np.ndarray:
        """Lines of the picture under the tile and `halo` around it, mirrored at its borders."""
        start = self._along(self.cell, self.count)
        lines = np.arange(start - halo, start + self.count + self.spare + halo)
        lines = mirrored(lines, self.n_in)
        return self.n_in - 1 - lines if self.flip else lines

    def outputs(self, first: int, count: int) -> slice:
        """The picture's output pixels that the cells first .. first + count of the tile make."""
        ends = (min(self.cell + c, self.end) for c in (first, first + count))
        return slice(*(first_output(end, self.n_in, self.n_out) for end in ends))

    def run(self, first: int, count: int) -> Run:
        """The cells first .. first + count of the tile."""
        outputs = self.outputs(first, count)
        start = self._along(self.cell + first, count)
        origin = self._along(self.cell, self.count)
        axis = grid_axis(self.n_in, self.n_out, cell=start, count=count + self.spare, origin=origin)
        offset = self.n_out - outputs.stop if self.flip else outputs.start
        offset -= first_output(start, self.n_in, self.n_out)
        return Run(axis, slice(offset, offset + outputs.stop - outputs.start))

    def _along(self, cell: int, count: int) -> int:
        """The first of some cells, counted in the direction of the tile."""
        return self.n_in - cell - count if self.flip else cell


@dataclass(frozen=True)
class Tile:
    """Part of a picture, as it is or flipped and transposed."""

    rows: Span
    cols: Span
    transposed: bool = False

    def pixels(self, image: np.ndarray, halo: int) -> np.ndarray:
        """float32 [h + 2 halo, w + 2 halo, 3] of the picture, or its transpose."""
        pixels = to_rgb(to_float32(image[np.ix_(self.rows.lines(halo), self.cols.lines(halo))]))
        return np.ascontiguousarray(pixels.swapaxes(0, 1)) if self.transposed else pixels

    def rendered(self, field: Field, first: int, count: int) -> np.ndarray:
        """The output pixels of the tile's LR rows first .. first + count, float32."""
        rows, cols = self.rows.run(first, count), self.cols.run(0, self.cols.count)
        axes = (cols.axis, rows.axis) if self.transposed else (rows.axis, cols.axis)
        strips = [strip.colours[0] for strip in render.strips(field, *axes)]
        out = strips[0] if len(strips) == 1 else np.concatenate(strips)
        out = (out.swapaxes(0, 1) if self.transposed else out)[rows.cut, cols.cut]
        return out[:: -1 if self.rows.flip else 1, :: -1 if self.cols.flip else 1]
