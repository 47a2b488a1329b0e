"""What fits: sides of tiles, LR rows per strip, memory. Numbers only; nothing is encoded here.

A network works on tiles of LR cells, each encoded with a halo around it. Tiles are squares of a few
sizes, so that compiled programs are few.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import jax
import numpy as np

from inr_sr.coordinates import first_output
from inr_sr.devices import out_of_memory
from inr_sr.errors import InputError
from inr_sr.models import Model, Params
from inr_sr.sizes import Size

BUCKETS = (8, 16, 32, 64, 96, 128, 192, 256, 512)
"""Sides of tiles, LR pixels. More would waste less on padding, and compile more programs."""

HOST_STRIP_BYTES = 2**24
"""Approximate maximum bytes of a strip on the host.

A strip always holds the output of one LR row.
"""

MAX_SCALE = 1000
"""Largest scale of an axis that networks render: an LR row's output is held at once."""

_MIN_QUERIES = 2**9


@dataclass(frozen=True)
class Planner:
    """Sizes of tiles for one network.

    Attributes:
      model: see `models.build`.
      name: what messages call it.
      widest: channels of its widest layer.
      memory: bytes that a tile may take while it is encoded, with the fields that wait for it.
      tile: "auto", or the longest side a tile may have, in LR pixels, or 0 for one tile per image.
      ensemble: whether each tile is encoded in 8 orientations.

    Raises:
      InputError: a `tile` that is neither "auto" nor an integer >= 0, or is given for a model that
        sees whole images.
    """

    model: Model
    name: str
    widest: int
    memory: int
    tile: int | str = "auto"
    ensemble: bool = False

    def __post_init__(self) -> None:
        tile = self.tile
        if tile == "auto":
            return
        if not isinstance(tile, int) or isinstance(tile, bool) or tile < 0:
            raise InputError(f"tile {tile!r} is not allowed; expected auto, or an integer >= 0")
        if self.model.receptive_field is None:
            raise InputError(
                f"tile {tile!r} is not allowed for {self.name}, which sees whole images: larger "
                f"ones are cut into squares of the trained size, {self.model.trained_size} LR "
                "pixels"
            )

    @classmethod
    def of(cls, model: Model, params: Params, name: str, tile: int | str, ensemble: bool) -> Self:
        """The planner of a network on the local devices; arguments as of `NetworkUpscaler`."""
        widest = max(leaf.shape[-1] for leaf in jax.tree.leaves(params) if leaf.ndim > 1)
        return cls(model, name, widest, device_memory(jax.local_devices()[0]), tile, ensemble)

    def check_size(self, shape: Size, size: Size) -> None:
        """Raises InputError where an image of (rows, cols) cannot be enlarged to `size`."""
        fixed = self.model.fixed_scale
        if fixed is not None and size != (shape[0] * fixed, shape[1] * fixed):
            raise InputError(
                f"{self.name} enlarges by exactly {fixed}: {shape[1]}x{shape[0]} to "
                f"{shape[1] * fixed}x{shape[0] * fixed}, not to {size[1]}x{size[0]}"
            )
        if size[0] > MAX_SCALE * shape[0] or size[1] > MAX_SCALE * shape[1]:
            raise InputError(
                f"{shape[1]}x{shape[0]} to {size[1]}x{size[0]} is not allowed: "
                f"networks enlarge an axis by at most {MAX_SCALE}"
            )
        self.model.check_slots(-(-size[0] // shape[0]), -(-size[1] // shape[1]))

    def check_points(self) -> None:
        """Raises InputError where the network cannot be queried at points, and so not warped."""
        model = self.model
        for reason, found in {
            "knows one scale only": model.fixed_scale is not None,
            "is an ensemble": self.ensemble,
            "sees whole images": model.receptive_field is None,
        }.items():
            if found:
                raise InputError(
                    f"{self.name} {reason}; points and warps need one network of any scale that "
                    "can be tiled"
                )

    def only_tile(self, shape: Size) -> Size | None:
        """The one tile that a model of whole images allows; None for other models.

        Args:
          shape: LR (rows, cols) of the image.
        """
        if self.model.receptive_field is not None:
            return None
        halo = self.model.halo(shape)
        spare = 1 if self.ensemble and halo else 0  # Span.spare
        side = self.model.trained_size - 2 * halo - spare
        # Of one size, and not much beyond the image: what is mirrored there was not trained.
        rows, cols = (-(-n // -(-n // side)) for n in shape)
        return rows, cols

    def tile_for(self, shape: Size, cells: Size, row_pixels: int, margin: int = 0) -> Size:
        """The tile (rows, cols) for some cells of an image.

        Args:
          shape: LR (rows, cols) of the image.
          cells: how many rows and columns of it are wanted.
          row_pixels: output pixels that an LR row of those makes, see `row_pixels`.
          margin: cells around a tile that may be encoded with it.
        """
        only = self.only_tile(shape)
        if only is not None:
            return only
        if self.tile == 0:
            return whole_tile(cells)
        limit = None if self.tile == "auto" else int(self.tile)

        def fits(tile: Size) -> bool:
            return self.fits(tile, shape, cells[1], row_pixels, margin)

        return choose_tile(cells, self.model.halo(shape) + margin, limit, fits)

    def fits(self, tile: Size, shape: Size, width: int, row_pixels: int, margin: int = 0) -> bool:
        """Whether there is memory for a tile. Always true where the tile cannot be chosen.

        Args:
          tile: (rows, cols).
          width: columns of cells that are wanted.
          shape, row_pixels, margin: see `tile_for`.
        """
        if self.tile == 0 or self.model.receptive_field is None:
            return True
        height, wide = (side + 2 * margin for side in tile)
        return self._bytes((height, wide), self.model.halo(shape), width, row_pixels) <= self.memory

    def _bytes(self, tile: Size, halo: int, width: int, row_pixels: int) -> float:
        """About how much a tile takes while it is encoded, and the fields that wait for others."""
        shuffled = max(1.0, ((self.model.fixed_scale or 1) / 2) ** 2)
        encoder = math.prod(side + 2 * halo for side in tile) * self.widest * 6 * shuffled
        fields = 0
        if strip_height(tile[0], row_pixels) < tile[0]:
            cells = tile[0] * -(-width // tile[1]) * tile[1] * (8 if self.ensemble else 1)
            fields = cells * self.widest * 2
        return 4.0 * (encoder + fields)


def choose_tile(n: Size, halo: int, limit: int | None, fits: Callable[[Size], bool]) -> Size:
    """The square tile that computes the fewest cells, halos and padding included.

    Oblong tiles would compute some 5 % fewer for photos, and compile four times as many programs.

    Args:
      n: LR (rows, cols) of the image.
      halo: LR pixels around a tile.
      limit: longest side allowed; it counts as a bucket. None: the longest of BUCKETS.
      fits: whether there is memory for a tile.
    """
    sides = buckets(max(BUCKETS) if limit is None else limit)

    def cost(side: int) -> int:
        return math.prod(-(-length // side) * (side + 2 * halo) for length in n)

    side = min([side for side in sides if fits((side, side))] or sides[:1], key=cost)
    return side, side


def buckets(longest: int) -> list[int]:
    """Sides of tiles up to `longest`, which is the last of them."""
    return [*(side for side in BUCKETS if side < longest), longest]


def whole_tile(n: Size) -> Size:
    """One tile for all of an image."""
    return -(-n[0] // 64) * 64, -(-n[1] // 64) * 64


def smaller_tile(tile: Size, error: Exception) -> Size:
    """Half the tile after it did not fit; raises MemoryError when there is nothing to halve."""
    if not out_of_memory(error):
        raise error
    if max(tile) <= min(BUCKETS):
        raise MemoryError(f"no memory for a tile of {tile[1]}x{tile[0]} LR pixels") from error
    return max(tile[0] // 2, min(BUCKETS)), max(tile[1] // 2, min(BUCKETS))


def rendered_cells(side: int, wanted: slice, n: int) -> int:
    """How many cells of a tile's axis are rendered at a time.

    All of them where all the image is wanted; of a smaller window a bucket that holds it, so that
    little is rendered in vain and yet windows of about one size share a program.

    Args:
      side: cells of the tile.
      wanted: cells of the image.
      n: cells of the image's axis.
    """
    length = wanted.stop - wanted.start
    return side if length == n else next(b for b in buckets(side) if b >= min(length, side))


def row_pixels(shape: Size, size: Size, cols: slice) -> int:
    """Output pixels that an LR row of the cells `cols` makes, at most.

    Args:
      shape, size: (rows, cols) of the image and of its whole output.
      cols: columns of cells.
    """
    low, high = (first_output(col, shape[1], size[1]) for col in (cols.start, cols.stop))
    return int(-(-size[0] // shape[0]) * (high - low))


def strip_height(height: int, row_pixels: int) -> int:
    """LR rows of a strip, a divisor of the tile's height: strips are then all of one shape."""
    max_rows = max(1, HOST_STRIP_BYTES // max(1, row_pixels * 3 * 4))
    return max(n for n in range(1, height + 1) if height % n == 0 and n <= max_rows)


def device_memory(device: jax.Device) -> int:
    """Bytes that a tile may take: a quarter of an accelerator; on a CPU 512 MiB, which all have."""
    stats = None if device.platform == "cpu" else device.memory_stats()
    limit = (stats or {}).get("bytes_limit", 2**31)
    return max(int(limit) // 4, 2**28)


def pad_queries(queries: np.ndarray) -> np.ndarray:
    """Queries [n, ...], the last one repeated until they are one of a few numbers."""
    return pad_to_few(queries, _MIN_QUERIES, 8)


def pad_to_few(x: np.ndarray, count: int, factor: int) -> np.ndarray:
    """`x` with its last entry repeated to the first of count, count * factor ... that holds it."""
    while count < len(x):
        count *= factor
    return np.pad(x, ((0, count - len(x)), *((0, 0),) * (x.ndim - 1)), mode="edge")
