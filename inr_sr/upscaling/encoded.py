"""An image encoded once and queried many times: strips, windows and points of its fields."""

import functools
import itertools
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence

import jax
import numpy as np

from inr_sr import render
from inr_sr.coordinates import cells_under
from inr_sr.devices import out_of_memory
from inr_sr.errors import InputError
from inr_sr.models import Model, Params
from inr_sr.models.field import Field
from inr_sr.resampling.streaming import shrink_columns, shrink_rows
from inr_sr.sizes import Size, target_size
from inr_sr.upscaling.plan import (
    Planner,
    pad_queries,
    rendered_cells,
    row_pixels,
    smaller_tile,
    strip_height,
)
from inr_sr.upscaling.tiles import Tile, Tiling
from inr_sr.values import check_image

Replicas = Sequence[tuple[jax.Device, Params]]
"""Devices, each with its copy of the parameters."""

_points = jax.jit(render.points)


@functools.partial(jax.jit, static_argnames=("model", "halo"))
def encode_tile(model: Model, params: Params, tile: jax.Array, halo: int) -> Field:
    """The Field of one tile [h + 2 halo, w + 2 halo, 3], over its [h, w] cells."""
    field = model.apply({"params": params}, tile[None], halo)
    assert isinstance(field, Field)  # flax knows no return types of modules
    return field


class EncodedImage:
    """An image of any size whose tiles are encoded when an output needs them, and then cached.

    The cache is bounded in bytes. The fields used least recently are dropped, and encoded again
    when they are needed. Results do not depend on what is cached nor, to float rounding, on the
    tiles. The first request sets where tiles lie and how large they are; a later request that is
    better served by larger ones replaces them. Where memory runs out, tiles are halved, and the
    request goes on after the last LR row that it has finished.

    Attributes:
      image: [h, w, c], as given.
      shape: (h, w).
    """

    def __init__(
        self, planner: Planner, replicas: Replicas, image: np.ndarray, cache_bytes: int | None
    ) -> None:
        """See `NetworkUpscaler.encode`."""
        if not isinstance(image, np.ndarray):
            raise InputError(f"image of type {type(image).__name__}; expected a NumPy array")
        check_image(image)
        if image.shape[2] not in (1, 3):
            raise InputError(f"image of {image.shape[2]} channels; expected 1 or 3")
        self.image, self.shape = image, (image.shape[0], image.shape[1])
        self._planner, self._replicas = planner, replicas
        self._turns = itertools.cycle(replicas)
        self._cache = FieldCache(planner.memory if cache_bytes is None else cache_bytes)
        self._tiling: Tiling | None = None
        self._largest: Size | None = None  # larger tiles did not fit

    def strips(self, out_size: Size) -> Iterator[np.ndarray]:
        """The whole output in strips of consecutive rows; see `StripUpscaler.strips`."""
        size = self._checked(out_size)
        h, w = self.shape
        grown = max(size[0], h), max(size[1], w)
        strips = self._rendered(grown, slice(0, h), slice(0, w))
        if size[1] < w:
            strips = (shrink_columns(strip, size[1]) for strip in strips)
        if size[0] < h:
            strips = shrink_rows(strips, h, size[0])
        return (np.clip(strip, 0.0, 1.0, out=strip) for strip in strips)

    def window(self, out_size: Size, rows: slice, cols: slice) -> np.ndarray:
        """Part of the output, without the work of the rest: what a viewer shows.

        Args:
          out_size: (rows, cols) of the whole output, no smaller than the image.
          rows, cols: the output pixels wanted, slices without a step.

        Returns:
          float32 [rows, cols, 3], clipped to [0, 1]; equal to the same part of the whole.

        Raises:
          InputError: a size that is not allowed, or a window that is not within it.
          MemoryError: not even the smallest tile fits.
        """
        size = self._checked(out_size)
        cells, cut = zip(*map(cells_under, self.shape, size, (rows, cols)))
        out = np.concatenate(list(self._rendered(size, *cells)))[cut]
        return np.clip(out, 0.0, 1.0, out=out)

    def points(self, cell: np.ndarray, delta: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Colours at arbitrary positions.

        Args:
          cell: integers [n, 2], the LR pixel (row, col) of each position.
          delta: [n, 2] offset from that pixel's centre, LR pixels, in [-0.5, 0.5]; see
            `coordinates.located`.
          footprint: [n, 2, 2] J J^T of each output pixel, see `coordinates.upright_footprint`; or
            [1, 2, 2] where they are all alike.

        Returns:
          float32 [n, 3], clipped to [0, 1].

        Raises:
          InputError: cells that are not in the image, or a network that cannot be queried at
            points, see `Planner.check_points`.
          MemoryError: not even the smallest tile fits.
        """
        self._planner.check_points()
        cell = np.asarray(cell)
        if cell.ndim != 2 or cell.shape[1] != 2 or not np.issubdtype(cell.dtype, np.integer):
            raise InputError(f"cells of {cell.dtype} {cell.shape}; expected integers [n, 2]")
        if ((cell < 0) | (cell >= self.shape)).any():
            raise InputError(f"cells outside the image, which has {self.shape} LR pixels")
        out = np.empty((len(cell), 3), np.float32)
        if not len(cell):
            return out
        delta = np.asarray(delta, np.float32)
        footprint = np.broadcast_to(np.asarray(footprint, np.float32), (len(cell), 2, 2))
        low, high = cell.min(axis=0).tolist(), cell.max(axis=0).tolist()
        while True:
            try:
                tiling = self.tiling(slice(low[0], high[0] + 1), slice(low[1], high[1] + 1))
                numbers, which = np.unique(tiling.index(cell), axis=0, return_inverse=True)
                tiles = [tiling.numbered(*number) for number in numbers.tolist()]
                for i, (tile, field) in enumerate(zip(tiles, self.fields(tiles))):
                    at = which.reshape(-1) == i
                    out[at] = query(field, tile.origin, cell[at], delta[at], footprint[at])
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                self.halve_tiles(error)
            else:
                return np.clip(out, 0.0, 1.0, out=out)

    def tiling(self, rows: slice, cols: slice, row_pixels: int = 0, margin: int = 0) -> Tiling:
        """The tiles for a request: those of earlier requests, unless larger ones serve it better.

        Args:
          rows, cols: the cells wanted.
          row_pixels, margin: see `Planner.tile_for`.
        """
        height, width = rows.stop - rows.start, cols.stop - cols.start
        best = self._planner.tile_for(self.shape, (height, width), row_pixels, margin)
        if self._largest is not None:
            best = min(best[0], self._largest[0]), min(best[1], self._largest[1])
        found = self._tiling
        if (
            found is not None
            and found.tile[0] >= best[0]
            and found.tile[1] >= best[1]
            and self._planner.fits(found.tile, self.shape, width, row_pixels, margin)
        ):
            return found
        return self._lay(best, (rows.start, cols.start))

    def halve_tiles(self, error: Exception, origin: Size = (0, 0)) -> Tiling:
        """Tiles of half the size, after memory ran out.

        Args:
          error: what was raised; raised again if it is something else.
          origin: a cell at which a tile is to begin.

        Raises:
          MemoryError: tiles are as small as can be.
        """
        assert self._tiling is not None
        self._cache.clear()  # a field that could not be made stays broken
        tile = self._tiling.tile
        if self._planner.only_tile(self.shape) is not None and out_of_memory(error):
            raise MemoryError(f"no memory for {tile[1]}x{tile[0]} LR pixels") from error
        self._largest = smaller_tile(tile, error)
        self._cache.max_bytes //= 2
        return self._lay(self._largest, origin)

    def fields(self, tiles: Iterable[Tile]) -> Iterator[Field]:
        """The fields of tiles in order; every device starts on one before the first is used."""
        waiting: deque[Field] = deque()
        for tile in tiles:
            waiting.append(self._field(tile))
            if len(waiting) == len(self._replicas):
                yield waiting.popleft()
        yield from waiting

    def _field(self, tile: Tile) -> Field:
        """The field of a tile, cached or encoded; its computation need not be finished."""
        field = self._cache.get(tile)
        if field is None:
            device, params = next(self._turns)
            halo = self._planner.model.halo(self.shape)
            pixels = jax.device_put(tile.pixels(self.image, halo), device)
            field = encode_tile(self._planner.model, params, pixels, halo)
            self._cache.put(tile, field)
        return field

    def _lay(self, tile: Size, origin: Size) -> Tiling:
        """Sets new tiles, and drops the fields of the old ones."""
        if self._planner.only_tile(self.shape) is not None:
            origin = 0, 0  # the image is divided evenly
        self._cache.clear()
        self._tiling = Tiling(self.shape, tile, origin, self._planner.ensemble)
        return self._tiling

    def _checked(self, out_size: Size) -> Size:
        size = target_size(self.shape, size=out_size, max_pixels=None)
        self._planner.check_size(self.shape, size)
        return size

    def _rendered(self, size: Size, rows: slice, cols: slice) -> Iterator[np.ndarray]:
        """Output rows of the cells `rows` by `cols`; `size` is that of the whole output."""
        tiling = self.tiling(rows, cols, row_pixels(self.shape, size, cols))
        row = rows.start
        while row < rows.stop:
            try:
                for following, strip in self._tiled(tiling, size, slice(row, rows.stop), cols):
                    yield strip
                    row = following
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                tiling = self.halve_tiles(error, (row, cols.start))

    def _tiled(
        self, tiling: Tiling, size: Size, rows: slice, cols: slice
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Output rows from top to bottom: the LR row that follows each strip, and the strip."""
        tiles = (tile for row in tiling.tile_rows(rows, cols) for place in row for tile in place)
        fields = self.fields(tiles)
        n, side = self.shape, tiling.tile
        height, width = (rendered_cells(*axis) for axis in zip(side, (rows, cols), n))
        step = strip_height(height, row_pixels(n, size, cols))
        for places in tiling.tile_rows(rows, cols):
            head = places[0][0].rows.cell
            first, last = max(rows.start, head), min(rows.stop, head + side[0])
            own: Iterable[Field] = itertools.islice(fields, sum(map(len, places)))
            if first + step < last:
                own = list(own)  # every strip of this row of tiles needs them
            for row in range(first, last, step):
                wanted = slice(row, min(row + step, last)), cols
                yield wanted[0].stop, self._strip(places, iter(own), size, wanted, (step, width))

    def _strip(
        self,
        places: list[list[Tile]],
        fields: Iterator[Field],
        size: Size,
        wanted: tuple[slice, slice],
        count: Size,
    ) -> np.ndarray:
        """Output rows of a row of tiles; arguments as of `Tile.rendered`."""
        rows = places[0][0].rows.outputs(size[0], wanted[0])
        cols = [tiles[0].cols.outputs(size[1], wanted[1]) for tiles in places]
        low = cols[0].start
        strip = np.empty((rows.stop - rows.start, cols[-1].stop - low, 3), np.float32)
        for tiles, wide in zip(places, cols, strict=True):
            found = (tile.rendered(next(fields), size, wanted, count) for tile in tiles)
            strip[:, wide.start - low : wide.stop - low] = functools.reduce(np.add, found)
        if self._planner.ensemble:
            strip *= np.float32(1 / 8)
        return strip


class FieldCache:
    """The most recently used Fields, in at most `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self._bytes = max_bytes, 0
        self._fields: OrderedDict[Tile, Field] = OrderedDict()

    def get(self, tile: Tile) -> Field | None:
        """The field of a tile, or None where it is not cached."""
        if tile in self._fields:
            self._fields.move_to_end(tile)
        return self._fields.get(tile)

    def put(self, tile: Tile, field: Field) -> None:
        """Adds a field, unless it alone exceeds the limit."""
        size = field_bytes(field)
        if size > self.max_bytes:
            return
        while self._bytes + size > self.max_bytes:
            _, oldest = self._fields.popitem(last=False)
            self._bytes -= field_bytes(oldest)
        self._fields[tile] = field
        self._bytes += size

    def clear(self) -> None:
        """Drops all fields."""
        self._fields.clear()
        self._bytes = 0


def field_bytes(field: Field) -> int:
    """Bytes that a field's arrays take."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(field))


def query(
    field: Field, origin: Size, cell: np.ndarray, delta: np.ndarray, footprint: np.ndarray
) -> np.ndarray:
    """Colours [n, 3] at positions in a tile, not clipped.

    Args:
      field: the tile's.
      origin: the cell of the image at which it begins.
      cell, delta, footprint: see `EncodedImage.points`.
    """
    queries = (cell - np.array(origin)).astype(np.int32), delta, footprint
    return np.asarray(_points(field, *(pad_queries(x)[None] for x in queries)))[0, : len(cell)]
