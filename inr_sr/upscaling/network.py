"""A network on tiles."""

import collections
import functools
import itertools
import math
import numbers
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from inr_sr import render
from inr_sr.coordinates import cells_under, first_output
from inr_sr.devices import out_of_memory
from inr_sr.errors import InputError
from inr_sr.models import Model
from inr_sr.models.field import Field
from inr_sr.resampling.streaming import shrink_columns, shrink_rows
from inr_sr.sizes import MAX_OUTPUT_PIXELS, Size, target_size
from inr_sr.upscaling import warping
from inr_sr.upscaling.tiles import Span, Tile, choose_tile, smaller_tile, whole_tile
from inr_sr.upscaling.upscaler import StripUpscaler
from inr_sr.values import check_image
from inr_sr.weights import DEFAULT, load_model

MAX_SCALE = 1000
"""Largest scale of an axis that networks render: an LR row's output is held at once."""

HOST_STRIP_BYTES = 2**24
"""About how much a strip of output rows may take on the host; an LR row's at least."""


@functools.partial(jax.jit, static_argnames=("model", "halo"))
def encode_tile(model: Model, params: Any, tile: jax.Array, halo: int) -> Any:
    """The Field of one tile [h + 2 halo, w + 2 halo, 3], over its [h, w] cells."""
    field: Any = model.apply({"params": params}, tile[None], halo)
    return field


class NetworkUpscaler(StripUpscaler):
    """A network on tiles.

    Attributes:
      name: what tables call it.
      parameters: how many numbers the network consists of.
    """

    def __init__(
        self,
        model: Model,
        params: Any,
        name: str,
        *,
        tile: int | str = "auto",
        ensemble: bool = False,
    ) -> None:
        """Puts the parameters on all local devices, over which tiles are spread.

        Args:
          model: see `models.build`.
          params: its parameters.
          name: what tables call it.
          tile: "auto", or the longest side a tile may have, in LR pixels, or 0 for one tile per
            picture, which compiles for every size.
          ensemble: mean over the 8 flips and rotations, in 8 times the time.

        Raises:
          InputError: a tile that is neither "auto" nor an integer >= 0.
        """
        if tile != "auto" and (not isinstance(tile, int) or isinstance(tile, bool) or tile < 0):
            raise InputError(f"tile {tile!r} is not allowed; expected auto, or an integer >= 0")
        host = jax.tree.map(np.asarray, params)
        if tile != "auto" and model.receptive_field is None:
            raise InputError(
                f"tile {tile!r} is not allowed for {name}, which looks at whole pictures: larger "
                f"ones are cut into squares of the trained size, {model.trained_size} LR pixels"
            )
        devices = jax.local_devices()
        self.name = name
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(host))
        self._model = model
        self._replicas = [(device, jax.device_put(host, device)) for device in devices]
        self._tile, self._ensemble = tile, ensemble
        self._memory = _device_memory(devices[0])
        self._widest = max(leaf.shape[-1] for leaf in jax.tree.leaves(host) if leaf.ndim > 1)

    @property
    def programs(self) -> int:
        """Programs compiled so far in this process, but for those of warps.

        Grows with the first picture of a shape.
        """
        return int(encode_tile._cache_size()) + render.programs()  # type: ignore[attr-defined]

    def strips(self, image: np.ndarray, out_size: Size) -> Iterator[np.ndarray]:
        """See `StripUpscaler.strips`."""
        size = self._checked(image, out_size)
        h, w = image.shape[:2]
        grown = max(size[0], h), max(size[1], w)
        strips = self._enlarged(image, grown, slice(0, h), slice(0, w))
        if size[1] < w:
            strips = (shrink_columns(strip, size[1]) for strip in strips)
        if size[0] < h:
            strips = shrink_rows(strips, h, size[0])
        return (np.clip(strip, 0.0, 1.0, out=strip) for strip in strips)

    def window(self, image: np.ndarray, out_size: Size, rows: slice, cols: slice) -> np.ndarray:
        """Part of an enlarged picture, without the work of the rest: what a viewer shows.

        Args:
          image: see `strips`.
          out_size: (rows, cols) of the whole, no smaller than the picture.
          rows, cols: the output pixels wanted, slices without a step.

        Returns:
          float32 [rows, cols, 3], clipped to [0, 1]; equal to the same part of the whole.

        Raises:
          InputError: a picture or size that is not allowed, or a window that is not within it.
          MemoryError: not even the smallest tile fits.
        """
        size = self._checked(image, out_size)
        under, cut = zip(
            *(self._under(image.shape, size, axis, part) for axis, part in ((0, rows), (1, cols)))
        )
        return np.clip(np.concatenate(list(self._enlarged(image, size, *under)))[cut], 0.0, 1.0)

    def _under(
        self, shape: Sequence[int], size: Size, axis: int, part: slice
    ) -> tuple[slice, slice]:
        """The cells that a window lies in, and the window among their output pixels."""
        n_in, n_out = shape[axis], size[axis]
        cells, cut = cells_under(n_in, n_out, part)
        tile = self._only_tile((shape[0], shape[1]))
        if tile is None:
            return cells, cut
        start = cells.start // tile[axis] * tile[axis]
        more = first_output(cells.start, n_in, n_out) - first_output(start, n_in, n_out)
        return slice(start, cells.stop), slice(cut.start + more, cut.stop + more)

    def warp(
        self,
        image: Any,
        matrix: Any,
        out_size: Size,
        *,
        fill: float = 0.0,
        max_pixels: int | None = MAX_OUTPUT_PIXELS,
    ) -> Any:
        """Rotates, shears, tilts: one picture under a projective map, enlarged where that does.

        Where the map minifies the result is antialiased, see `warping.anisotropic`. Alpha is
        interpolated, and 0 outside the picture. A result pixel is in the picture or out of it: the
        border itself is not softened.

        Args:
          image: see `upscale`.
          matrix: [3, 3], or [2, 3] if affine, from positions (row, col) of the picture to those of
            the result, in pixels, pixel i covering [i, i + 1); see `warping.homography`.
          out_size: (rows, cols) of the result.
          fill: colour outside the picture and beyond the horizon, in [0, 1].
          max_pixels: see `target_size`.

        Returns:
          The result in the form of `image`, see `upscale`.

        Raises:
          InputError: a picture, map, size or colour that is not allowed, a network that knows one
            scale only or looks at whole pictures, or an ensemble.
          MemoryError: not even the smallest tile fits.
        """
        for reason, found in {
            "knows one scale only": self._model.fixed_scale is not None,
            "is an ensemble": self._ensemble,
            "looks at whole pictures": self._model.receptive_field is None,
        }.items():
            if found:
                raise InputError(
                    f"{self.name} {reason}; warps need one network of any scale that can be tiled"
                )
        if not (isinstance(fill, numbers.Real) and 0 <= fill <= 1):
            raise InputError(f"fill {fill!r} is not allowed; expected a number from 0 to 1")
        size = target_size((1, 1), size=out_size, max_pixels=max_pixels)

        def homography(layer: np.ndarray) -> warping.Homography:
            return warping.Homography.between(matrix, (layer.shape[0], layer.shape[1]), size)

        def colours(layer: np.ndarray) -> Iterator[warping.Part]:
            _check_colours(layer)
            return self._warped(layer, homography(layer), size)

        def alpha(layer: np.ndarray) -> Iterator[warping.Part]:
            return warping.by_interpolation(layer, homography(layer), size)

        return warping.warped(image, size, colours, alpha, float(fill))

    def _warped(
        self, image: np.ndarray, map: warping.Homography, size: Size
    ) -> Iterator[warping.Part]:
        """Parts of the result, made again from the first one on where memory ran out."""
        encode = functools.partial(self._encoded, image)
        n = (image.shape[0], image.shape[1])
        # One field is held at a time: as if a row of output were nothing.
        tile = self.tile_for(n, n, 0, margin=warping.RESIDUAL_REACH)
        while True:
            try:
                yield from warping.by_network(image, map, size, tile, encode)
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                tile = smaller_tile(tile, error)
            else:
                return

    def _checked(self, image: np.ndarray, out_size: Size) -> Size:
        if not isinstance(image, np.ndarray):
            raise InputError(f"a picture that is a {type(image).__name__}; expected a NumPy array")
        _check_colours(image)
        size = target_size(image.shape, size=out_size, max_pixels=None)
        self.check_size((image.shape[0], image.shape[1]), size)
        return size

    def check_size(self, shape: Size, size: Size) -> None:
        """See `StripUpscaler.check_size`."""
        fixed = self._model.fixed_scale
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
        self._model.check_slots(-(-size[0] // shape[0]), -(-size[1] // shape[1]))

    def _enlarged(
        self, image: np.ndarray, size: Size, rows: slice, cols: slice
    ) -> Iterator[np.ndarray]:
        """Output rows of the cells `rows` by `cols`; `size` is that of the whole picture."""
        cells = (rows.stop - rows.start, cols.stop - cols.start)
        shape = (image.shape[0], image.shape[1])
        tile = self.tile_for(shape, cells, _row_pixels(image.shape, size, cols))
        row = rows.start
        while row < rows.stop:
            strips = self._tiled(image, size, slice(row, rows.stop), cols, tile)
            try:
                for following, strip in strips:
                    yield strip
                    row = following
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                if self._only_tile(shape) is not None and out_of_memory(error):
                    raise MemoryError(f"no memory for {tile[1]}x{tile[0]} LR pixels") from error
                tile = smaller_tile(tile, error)

    def _tiled(
        self, image: np.ndarray, size: Size, rows: slice, cols: slice, tile: Size
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Output rows from top to bottom, with each strip the cell that comes after it."""
        heads = range(rows.start, rows.stop, tile[0])

        def bands() -> Iterator[list[list[Tile]]]:
            return (self._band(image, size, slice(row, rows.stop), cols, tile) for row in heads)

        tiles = (each for band in bands() for variants in band for each in variants)
        fields = self._encoded(image, tiles)
        step = _strip_height(tile[0], _row_pixels(image.shape, size, cols))
        for row, band in zip(heads, bands(), strict=True):
            height = min(tile[0], rows.stop - row)
            own: Iterable[Field] = itertools.islice(fields, sum(map(len, band)))
            if step < height:
                own = list(own)  # all strips need them
            for first in range(0, height, step):
                strip = self._strip(band, iter(own), first, step)
                yield min(row + first + step, rows.stop), strip

    def _band(
        self, image: np.ndarray, size: Size, rows: slice, cols: slice, tile: Size
    ) -> list[list[Tile]]:
        """The first row of tiles: for each place the ways in which it is looked at."""
        heads = range(cols.start, cols.stop, tile[1])
        return [self._variants(image, size, rows, slice(col, cols.stop), tile) for col in heads]

    def _strip(
        self, band: list[list[Tile]], fields: Iterator[Field], first: int, count: int
    ) -> np.ndarray:
        """Output rows of the cells first .. first + count of a row of tiles."""
        rows = band[0][0].rows.outputs(first, count)
        cols = [variants[0].cols.outputs(0, variants[0].cols.count) for variants in band]
        low = cols[0].start
        strip = np.empty((rows.stop - rows.start, cols[-1].stop - low, 3), np.float32)
        for variants, wide in zip(band, cols, strict=True):
            found = (tile.rendered(next(fields), first, count) for tile in variants)
            strip[:, wide.start - low : wide.stop - low] = functools.reduce(np.add, found)
        if self._ensemble:
            strip *= np.float32(1 / 8)
        return strip

    def _variants(
        self, image: np.ndarray, size: Size, rows: slice, cols: slice, tile: Size
    ) -> list[Tile]:
        """The tile at the beginning of some cells, in all the ways it is looked at."""
        flips = (False, True) if self._ensemble else (False,)

        def spans(axis: int, cells: slice) -> list[Span]:
            n, spare = (image.shape[axis], size[axis], cells.stop), int(self._ensemble)
            return [Span(*n, cells.start, tile[axis], spare, flip) for flip in flips]

        pairs = itertools.product(spans(0, rows), spans(1, cols), flips)
        return [Tile(*pair) for pair in pairs]

    def _encoded(self, image: np.ndarray, tiles: Iterable[Tile]) -> Iterator[Field]:
        """The fields of tiles; all devices have one to make before the first is waited for."""
        halo = self._model.halo((image.shape[0], image.shape[1]))
        waiting: collections.deque[Field] = collections.deque()
        for tile, (device, params) in zip(tiles, itertools.cycle(self._replicas)):
            pixels = jax.device_put(tile.pixels(image, halo), device)
            waiting.append(encode_tile(self._model, params, pixels, halo))
            if len(waiting) == len(self._replicas):
                yield waiting.popleft()
        yield from waiting

    def _only_tile(self, shape: Size) -> Size | None:
        """The one size of tiles that a model of whole pictures may see; None for other models."""
        if self._model.receptive_field is not None:
            return None
        halo = self._model.halo(shape)
        spare = 1 if self._ensemble and halo else 0  # Span.spare
        side = self._model.trained_size - 2 * halo - spare
        # Of one size, and not much beyond the picture: what is mirrored there was not trained.
        rows, cols = (-(-n // -(-n // side)) for n in shape)
        return rows, cols

    def tile_for(self, shape: Size, cells: Size, row_pixels: int, margin: int = 0) -> Size:
        """The tile for some cells of a picture.

        Args:
          shape: (rows, cols) of the picture.
          cells: how many rows and columns of it are wanted.
          row_pixels: output pixels that an LR row of those makes.
          margin: cells around a tile that may be encoded with it.
        """
        only = self._only_tile(shape)
        if only is not None:
            return only
        halo = self._model.halo(shape)
        if self._tile == 0:
            return whole_tile(cells)
        limit = None if self._tile == "auto" else int(self._tile)

        def fits(tile: Size) -> bool:
            height, width = (side + 2 * margin for side in tile)
            return self._bytes((height, width), halo, cells[1], row_pixels) <= self._memory

        return choose_tile(cells, halo + margin, limit, fits)

    def _bytes(self, tile: Size, halo: int, width: int, row_pixels: int) -> float:
        """About how much a tile takes while it is encoded, and the fields that wait for others."""
        shuffled = max(1.0, ((self._model.fixed_scale or 1) / 2) ** 2)
        encoder = math.prod(side + 2 * halo for side in tile) * self._widest * 6 * shuffled
        fields = 0
        if _strip_height(tile[0], row_pixels) < tile[0]:
            cells = tile[0] * -(-width // tile[1]) * tile[1] * (8 if self._ensemble else 1)
            fields = cells * self._widest * 2
        return 4.0 * (encoder + fields)


def _check_colours(image: np.ndarray) -> None:
    check_image(image)
    if image.shape[2] not in (1, 3):
        raise InputError(f"picture of {image.shape[2]} channels; expected 1 or 3")


def _row_pixels(shape: Sequence[int], size: Size, cols: slice) -> int:
    """Output pixels that an LR row of some columns makes, at most."""
    low, high = (first_output(col, shape[1], size[1]) for col in (cols.start, cols.stop))
    return int(-(-size[0] // shape[0]) * (high - low))


def _strip_height(height: int, row_pixels: int) -> int:
    """LR rows of a strip, a divisor of the tile's height: strips are then all of one shape."""
    most = max(1, HOST_STRIP_BYTES // max(1, row_pixels * 3 * 4))
    return max(n for n in range(1, height + 1) if height % n == 0 and n <= most)


def _device_memory(device: jax.Device) -> int:
    """Bytes that a tile may take: a quarter of an accelerator; on a CPU 512 MiB, which all have."""
    stats = None if device.platform == "cpu" else device.memory_stats()
    limit = (stats or {}).get("bytes_limit", 2**31)
    return max(limit // 4, 2**28)


def warp(
    image: Any,
    matrix: Any,
    out_size: Size,
    *,
    fill: float = 0.0,
    max_pixels: int | None = MAX_OUTPUT_PIXELS,
    weights: str | os.PathLike[str] = DEFAULT,
) -> Any:
    """`NetworkUpscaler.warp` of the weights, which are loaded each time: see `load`."""
    return load(weights).warp(image, matrix, out_size, fill=fill, max_pixels=max_pixels)


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT,
    *,
    tile: int | str = "auto",
    ensemble: bool = False,
) -> NetworkUpscaler:
    """An upscaler with weights of the package by name, or of a file.

    Args:
      name_or_path: see `weights.find`.
      tile, ensemble: see `NetworkUpscaler`.

    Raises:
      InputError: no such weights, damaged ones, or ones that do not fit their configuration.
    """
    model, weights = load_model(name_or_path)
    return NetworkUpscaler(model, weights.params, weights.name, tile=tile, ensemble=ensemble)
