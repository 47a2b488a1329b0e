"""Tiles: how large they are, what lies under them, and which output pixels they make."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inr_sr.coordinates import Axis, first_output, grid_axis, mirrored
from inr_sr.devices import out_of_memory
from inr_sr.upscaling.request import Size

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
class Span:
    """One axis of one tile.

    Attributes:
      lines: int[count + 2 halo], lines of the picture under the tile, mirrored at its borders.
      axis: the output pixels, for renderers.
      cut: those that are kept.
      begin: the first of the picture's output pixels that the tile makes.
      flip: whether the tile runs backwards, and its output too.
    """

    lines: np.ndarray
    axis: Axis
    cut: slice
    begin: int
    flip: bool

    @classmethod
    def of(
        cls, n_in: int, n_out: int, cell: int, count: int, halo: int, spare: int, flip: bool
    ) -> "Span":
        """The span of cells cell .. cell + count, which may go past the picture's end.

        Args:
          n_in, n_out: LR and output pixels of the whole axis.
          cell, count: what the tile covers.
          halo: LR pixels around it.
          spare: cells rendered beyond `count`; flipped spans need one.
          flip: whether to run through the picture backwards.
        """
        begin = first_output(cell, n_in, n_out)
        end = min(first_output(cell + count, n_in, n_out), n_out)
        start, first = (n_in - cell - count, n_out - end) if flip else (cell, begin)
        count += spare
        offset = first - first_output(start, n_in, n_out)
        lines = mirrored(np.arange(start - halo, start + count + halo), n_in)
        return cls(
            lines=n_in - 1 - lines if flip else lines,
            axis=grid_axis(
                n_in, n_out, cell=start, count=count, halo=halo, length=_length(count, n_in, n_out)
            ),
            cut=slice(offset, offset + end - begin),
            begin=begin,
            flip=flip,
        )


def _length(count: int, n_in: int, n_out: int) -> int:
    """Output pixels that hold `count` cells of any axis of about this scale.

    The scale is rounded up to an odd number of eighths, or a whole number if that comes first:
    sizes rounded to whole pixels then do not move scales that people ask for from one to the next.
    """
    eighths = 2 * -(-(8 * n_out - n_in) // (2 * n_in)) + 1
    return min(-(-count * eighths // 8), count * -(-n_out // n_in))
