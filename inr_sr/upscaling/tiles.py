"""Tiles: the LR pixels that each is encoded from, and the output pixels rendered from it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from inr_sr import render
from inr_sr.coordinates import Axis, first_output, grid_axis, mirrored
from inr_sr.models.field import Field
from inr_sr.sizes import Size
from inr_sr.values import to_float32, to_rgb


@dataclass(frozen=True)
class Section:
    """One axis of some cells of a tile.

    Attributes:
      axis: the axis to render; of a flipped tile with up to one cell more than is wanted.
      cut: which of those are wanted.
    """

    axis: Axis
    cut: slice


@dataclass(frozen=True)
class Span:
    """One axis of one tile.

    Attributes:
      n: LR pixels of the whole axis.
      cell, count: the cells that the tile covers, which may go past the image's ends.
      spare: cells computed beyond `count`. A pixel on the border of two cells falls into the other
        one when the axis is flipped, so that flipped sections need one.
      flip: whether the tile runs through the image backwards.
    """

    n: int
    cell: int
    count: int
    spare: int = 0
    flip: bool = False

    def lines(self, halo: int) -> np.ndarray:
        """Lines of the image under the tile and `halo` around it, mirrored at its borders."""
        start = self._along(self.cell, self.count)
        lines: np.ndarray = np.arange(start - halo, start + self.count + self.spare + halo)
        lines = mirrored(lines, self.n)
        return self.n - 1 - lines if self.flip else lines

    def outputs(self, n_out: int, wanted: slice) -> slice:
        """The output pixels of the image that lie in wanted cells of the tile.

        Args:
          n_out: output pixels of the whole axis.
          wanted: cells of the image.
        """
        start = min(max(wanted.start, self.cell), self.n)
        stop = max(start, min(wanted.stop, self.cell + self.count, self.n))
        return slice(*(first_output(cell, self.n, n_out) for cell in (start, stop)))

    def section(self, n_out: int, wanted: slice, count: int) -> Section:
        """A run of `count` cells of the tile that contains the wanted ones.

        Args:
          n_out, wanted: see `outputs`.
          count: cells of the run; at least as many as the tile has wanted ones.
        """
        outputs = self.outputs(n_out, wanted)
        first = self.cell + min(max(wanted.start - self.cell, 0), self.count - count)
        start = self._along(first, count)
        origin = self._along(self.cell, self.count)
        axis = grid_axis(self.n, n_out, cell=start, count=count + self.spare, origin=origin)
        offset = n_out - outputs.stop if self.flip else outputs.start
        offset -= first_output(start, self.n, n_out)
        return Section(axis, slice(offset, offset + outputs.stop - outputs.start))

    def _along(self, cell: int, count: int) -> int:
        """The first of some cells, counted in the direction of the tile."""
        return self.n - cell - count if self.flip else cell


@dataclass(frozen=True)
class Tile:
    """Part of an image, as it is or flipped and transposed."""

    rows: Span
    cols: Span
    transposed: bool = False

    @property
    def origin(self) -> Size:
        """The first cell (row, col)."""
        return self.rows.cell, self.cols.cell

    def pixels(self, image: np.ndarray, halo: int) -> np.ndarray:
        """float32 [h + 2 halo, w + 2 halo, 3] of the image, or its transpose."""
        pixels = to_rgb(to_float32(image[np.ix_(self.rows.lines(halo), self.cols.lines(halo))]))
        return np.ascontiguousarray(pixels.swapaxes(0, 1)) if self.transposed else pixels

    def rendered(
        self, field: Field, out_size: Size, wanted: tuple[slice, slice], count: Size
    ) -> np.ndarray:
        """The output pixels [rows, cols, 3] of the tile that are wanted, float32, not clipped.

        Args:
          field: the tile's.
          out_size: (rows, cols) of the whole output.
          wanted: cells of the image, rows and columns.
          count: cells rendered, rows and columns, see `Span.section`.
        """
        rows = self.rows.section(out_size[0], wanted[0], count[0])
        cols = self.cols.section(out_size[1], wanted[1], count[1])
        axes = (cols.axis, rows.axis) if self.transposed else (rows.axis, cols.axis)
        strips = [strip.colours[0] for strip in render.strips(field, *axes)]
        out = strips[0] if len(strips) == 1 else np.concatenate(strips)
        out = (out.swapaxes(0, 1) if self.transposed else out)[rows.cut, cols.cut]
        return out[:: -1 if self.rows.flip else 1, :: -1 if self.cols.flip else 1]


@dataclass(frozen=True)
class Tiling:
    """Tiles of one size side by side, over an image and beyond its borders.

    Attributes:
      shape: LR (rows, cols) of the image.
      tile: (rows, cols) of cells of each tile.
      origin: a cell (row, col) at which a tile begins.
      ensemble: whether there are 8 tiles for each place: its flips and rotations.
    """

    shape: Size
    tile: Size
    origin: Size
    ensemble: bool = False

    def index(self, cell: np.ndarray) -> np.ndarray:
        """Number [n, 2] of the tile (row, col) in which each of the cells [n, 2] lies."""
        number: np.ndarray = (cell - np.asarray(self.origin)) // self.tile
        return number

    def numbered(self, row: int, col: int, margin: int = 0) -> Tile:
        """The tile of a number, see `index`, with `margin` cells around it."""
        rows, cols = (
            Span(n, start + number * side - margin, side + 2 * margin)
            for n, start, number, side in zip(self.shape, self.origin, (row, col), self.tile)
        )
        return Tile(rows, cols)

    def tile_rows(self, rows: slice, cols: slice) -> Iterator[list[list[Tile]]]:
        """Yields rows of places from top to bottom.

        A place is the list of its tiles: one, or the 8 of an ensemble.

        Args:
          rows, cols: cells of the image; the tiles that contain them are yielded.
        """
        heads = [
            range(cells.start - (cells.start - origin) % side, cells.stop, side)
            for cells, origin, side in zip((rows, cols), self.origin, self.tile)
        ]
        for row in heads[0]:
            yield [self._at(row, col) for col in heads[1]]

    def _at(self, row: int, col: int) -> list[Tile]:
        """The tiles that begin at a cell: one, or its 8 flips and rotations."""
        flips = (False, True) if self.ensemble else (False,)
        rows, cols = (
            [Span(n, cell, side, int(self.ensemble), flip) for flip in flips]
            for n, cell, side in zip(self.shape, (row, col), self.tile)
        )
        return [Tile(*spans) for spans in itertools.product(rows, cols, flips)]
