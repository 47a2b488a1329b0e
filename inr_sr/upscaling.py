"""A picture in, a larger one out: any size, in bounded memory, by a network or by resampling.

A network works on tiles of LR cells. Each tile is given a halo of the true receptive field, and
beyond its borders the picture is mirrored, so that the network's own padding never reaches a pixel
that is kept: the result does not depend on tiles, padding or shape buckets. Tile sides come from
a few buckets and the scale is data, so a new picture size seldom needs a new compilation.

An axis that shrinks is antialiased bicubic resampling of the network's x1 result.
"""

import functools
import math
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageOps

from inr_sr import models, render, resampling
from inr_sr.coordinates import Axis, check_scale, first_output, grid_axis, output_size
from inr_sr.errors import InputError
from inr_sr.imagefile import Picture
from inr_sr.models import Model
from inr_sr.weights import check_params, load_weights

MAX_OUTPUT_PIXELS = 10**9
"""Default limit of an enlarged picture: a gigapixel."""

MAX_SCALE = 1000
"""Largest scale of an axis that networks render: a cell's output pixels are held at once."""

_BUCKETS = (8, 16, 32, 64, 96, 128, 192, 256, 512)
_STRIP_VALUES = 2**24  # float32 values of a strip of output rows, 64 MiB
_MATRIX_ROWS = 64  # output lines made by one small matrix product
Size = tuple[int, int]


class Upscaler(Protocol):
    """Whatever enlarges a picture.

    Attributes:
      name: what tables call it.
    """

    name: str

    def upscale(self, image: np.ndarray, out_size: Size) -> np.ndarray:
        """Enlarges float32 [h, w, 3] in [0, 1] to [rows, cols, 3], float32 clipped to [0, 1]."""
        ...


def target_size(
    shape: Sequence[int],
    *,
    size: Sequence[int] | None = None,
    scale: float | Sequence[float] | None = None,
    width: int | None = None,
    height: int | None = None,
    max_pixels: int | None = MAX_OUTPUT_PIXELS,
) -> Size:
    """The output (rows, cols) that a request means for a picture of shape (rows, cols, ...).

    Args:
      shape: the picture's.
      size: output (rows, cols).
      scale: one number, or (row, col); sizes are rounded half up.
      width, height: output columns, rows; one of them alone keeps the picture's proportions.
      max_pixels: limit of rows times columns; None lifts it.

    Raises:
      InputError: not exactly one request, or one that is not positive, finite and within the limit.
    """
    rows, cols = shape[0], shape[1]
    if [size is None, scale is None, width is None and height is None].count(False) != 1:
        raise InputError("give exactly one of: output size, scale, width and/or height")
    if size is not None:
        if len(size) != 2:
            raise InputError(f"output size {size!r}; expected (rows, cols)")
        out = _pixels(size[0], "rows"), _pixels(size[1], "columns")
    elif scale is not None:
        pair = tuple(scale) if isinstance(scale, (Sequence, np.ndarray)) else (scale, scale)
        if len(pair) != 2:
            raise InputError(f"scale {scale!r}; expected one number or two (row, col)")
        by_row, by_col = (check_scale(s) for s in pair)
        if max(by_row, by_col) > MAX_OUTPUT_PIXELS:
            raise InputError(f"scale {scale} is not allowed: it is absurdly large")
        out = output_size(rows, by_row), output_size(cols, by_col)
    elif width is not None and height is not None:
        out = _pixels(height, "height"), _pixels(width, "width")
    elif width is not None:
        out = _in_proportion(rows, cols, _pixels(width, "width")), width
    else:
        assert height is not None
        out = height, _in_proportion(cols, rows, _pixels(height, "height"))
    if max_pixels is not None and out[0] * out[1] > max_pixels:
        raise InputError(
            f"the output would be {out[1]}x{out[0]} = {out[0] * out[1] / 1e9:.3g} gigapixels; "
            f"at most {max_pixels / 1e9:g} are made unless that is confirmed"
        )
    return out


def _pixels(value: Any, what: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{what} {value!r} is not allowed; it must be an integer of 1 or more")
    return number


def _in_proportion(n: int, other: int, other_out: int) -> int:
    """The n that belongs to other_out as n to other: rounded half up, at least 1, exact."""
    return max(1, (2 * n * other_out + other) // (2 * other))


class StripUpscaler(ABC):
    """An upscaler that makes its output from top to bottom, so that it need not be held whole.

    Attributes:
      name: what tables call it.
      alpha: method of resampling for alpha channels.
    """

    name: str
    alpha: str = "bicubic"

    @abstractmethod
    def strips(self, image: np.ndarray, out_size: Size) -> Iterator[np.ndarray]:
        """The enlarged picture in strips of consecutive rows.

        Args:
          image: [h, w, c], c = 1 or 3, floating in [0, 1], uint8 or uint16.
          out_size: (rows, cols).

        Yields:
          float32 [some rows, cols, c or 3], clipped to [0, 1].

        Raises:
          InputError: a picture or size that is not allowed; at once, not at the first strip.
        """

    def upscale(
        self,
        image: Any,
        out_size: Size | None = None,
        *,
        scale: float | Sequence[float] | None = None,
        width: int | None = None,
        height: int | None = None,
        max_pixels: int | None = MAX_OUTPUT_PIXELS,
    ) -> Any:
        """Enlarges one picture and returns it in the form in which it was given.

        Args:
          image: an array [h, w] or [h, w, c]: floating in [0, 1] with c = 1 or 3, or uint8 or
            uint16 with c = 1 .. 4 (an even c includes alpha); or a PIL image, whose EXIF
            orientation is applied.
          out_size, scale, width, height, max_pixels: see `target_size`.

        Returns:
          An array with as many axes and channels and of the same type (floating becomes float32,
          clipped to [0, 1]), or a PIL image.

        Raises:
          InputError: a picture or request that is not allowed.
        """
        request: dict[str, Any] = {
            "size": out_size,
            "scale": scale,
            "width": width,
            "height": height,
            "max_pixels": max_pixels,
        }
        if isinstance(image, Image.Image):
            picture = _from_pil(image)
            return _to_pil(enlarge(self, picture, target_size(picture.size, **request)))
        array = np.asarray(image)
        if array.ndim not in (2, 3) or 0 in array.shape:
            raise InputError(f"picture of shape {array.shape}; expected [h, w] or [h, w, c]")
        size = target_size(array.shape, **request)
        if array.dtype in (np.uint8, np.uint16):
            return _to_array(enlarge(self, _from_array(array), size), array.ndim)
        flat = array[:, :, None] if array.ndim == 2 else array
        out = np.empty((*size, flat.shape[2]), np.float32)
        for rows, strip in _placed(self.strips(flat, size)):
            out[rows] = _channels(strip, flat.shape[2])
        return out[:, :, 0] if array.ndim == 2 else out


def _placed(strips: Iterator[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
    """Each strip with the rows it fills."""
    row = 0
    for strip in strips:
        yield slice(row, row + len(strip)), strip
        row += len(strip)


def _channels(strip: np.ndarray, count: int) -> np.ndarray:
    """Grey pictures come out of a network in colour: their grey is the mean."""
    return strip if strip.shape[2] == count else strip.mean(axis=2, keepdims=True)


def enlarge(
    upscaler: StripUpscaler,
    picture: Picture,
    out_size: Size,
    progress: Callable[[int], None] | None = None,
) -> Picture:
    """Enlarges a picture, alpha included, in its own depth; metadata are kept.

    Colours of fully transparent pixels are undefined; they are first filled in from around, so
    that they do not bleed into edges. Alpha itself is resampled.

    Args:
      upscaler: makes the colours.
      picture: see `imagefile.read`.
      out_size: (rows, cols).
      progress: told how many output rows are done.

    Raises:
      InputError: see `StripUpscaler.strips`.
      MemoryError: not even the smallest tile fits.
    """
    dtype, channels = picture.pixels.dtype, picture.pixels.shape[2]
    pixels = np.empty((*out_size, channels), dtype)
    strips = upscaler.strips(_with_hidden_filled(picture), out_size)
    for rows, strip in _placed(strips):
        _quantise(_channels(strip, channels), pixels[rows])
        if progress is not None:
            progress(rows.stop)
    alpha = None
    if picture.alpha is not None:
        alpha = np.empty((*out_size, 1), dtype)
        resampled = ResampleUpscaler(upscaler.alpha).strips(picture.alpha[:, :, None], out_size)
        for rows, strip in _placed(resampled):
            _quantise(strip, alpha[rows])
        alpha = alpha[:, :, 0]
    return replace(picture, pixels=pixels, alpha=alpha)


def _quantise(strip: np.ndarray, out: np.ndarray) -> None:
    """Writes values of [0, 1] to integers, rounded half up."""
    strip *= np.float32(np.iinfo(out.dtype).max)
    strip += np.float32(0.5)
    out[...] = strip  # truncates


def _with_hidden_filled(picture: Picture) -> np.ndarray:
    """Pixels with the colours under alpha 0 filled in from coarser and coarser averages."""
    if picture.alpha is None or picture.alpha.all() or not picture.alpha.any():
        return picture.pixels
    weight = picture.alpha[:, :, None].astype(np.float32)
    levels = [(picture.pixels * weight, weight)]
    while max(levels[-1][1].shape) > 1:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    total, weight = levels.pop()
    filled = total / weight
    for total, weight in reversed(levels):
        below = filled.repeat(2, axis=0).repeat(2, axis=1)[: len(total), : total.shape[1]]
        filled = np.where(weight > 0, total / np.maximum(weight, 1e-6), below)
    out = picture.pixels.copy()
    hidden = picture.alpha == 0
    out[hidden] = np.rint(filled[hidden])
    return out


def _halved(x: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels; an odd last line is repeated."""
    x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2), (0, 0)), mode="edge")
    x = x[::2] + x[1::2]
    return (x[:, ::2] + x[:, 1::2]) * np.float32(0.25)


class ResampleUpscaler(StripUpscaler):
    """Resampling on the host, equal to `resampling.resize` to float rounding.

    It compiles nothing and enlarges any number of channels.
    """

    def __init__(self, method: str) -> None:
        """`method` is one of `resampling.METHODS`; else InputError."""
        if method not in resampling.METHODS:
            raise InputError(
                f"unknown method {method!r}; expected one of {', '.join(resampling.METHODS)}"
            )
        self.name = self.alpha = method

    def strips(self, image: np.ndarray, out_size: Size) -> Iterator[np.ndarray]:
        """See `StripUpscaler.strips`."""
        _check_picture(image)
        n_rows, n_cols = _pixels(out_size[0], "rows"), _pixels(out_size[1], "columns")
        h, w, channels = image.shape
        rows = resampling.taps(h, n_rows, self.name)
        cols = resampling.taps(w, n_cols, self.name)
        widest = channels * max(w, n_cols) * max(1, h / n_rows)
        step = max(1, int(_STRIP_VALUES / widest))

        def strip(start: int) -> np.ndarray:
            index, weight = (a[start : start + step] for a in rows)
            low = index.min()
            window = _as_float(image[low : index.max() + 1])
            # Columns first, on the fewer rows; lines in memory are what the product runs along.
            x = _product(_lines(window.swapaxes(0, 1)), *cols)
            x = _lines(x.reshape(n_cols, -1, channels).swapaxes(0, 1))
            x = _product(x, index - low, weight).reshape(-1, n_cols, channels)
            return np.clip(x, 0.0, 1.0, out=x)

        return (strip(start) for start in range(0, n_rows, step))


def _lines(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).reshape(len(x), -1)


def _product(x: np.ndarray, index: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sum over taps t of weight[:, t] * x[index[:, t]], for float32 x [n, m].

    As products with small dense matrices, which hold a few zeros and yet are ten times as fast as
    gathering.
    """
    out = np.empty((len(index), x.shape[1]), np.float32)
    for start in range(0, len(index), _MATRIX_ROWS):
        i, w = index[start : start + _MATRIX_ROWS], weight[start : start + _MATRIX_ROWS]
        low = i.min()
        matrix = np.zeros((len(i), i.max() - low + 1), np.float32)
        np.add.at(matrix, (np.arange(len(i))[:, None], i - low), w.astype(np.float32))
        np.matmul(matrix, x[low : low + matrix.shape[1]], out=out[start : start + len(i)])
    return out


def _shrink_cols(strip: np.ndarray, n_out: int) -> np.ndarray:
    rows, n_in, channels = strip.shape
    x = _product(_lines(strip.swapaxes(0, 1)), *resampling.taps(n_in, n_out))
    return np.ascontiguousarray(x.reshape(n_out, rows, channels).swapaxes(0, 1))


def _shrink_rows(strips: Iterator[np.ndarray], n_in: int, n_out: int) -> Iterator[np.ndarray]:
    """Antialiased bicubic along rows as they come; holds only those still needed."""
    index, weight = resampling.taps(n_in, n_out)
    first, last = index.min(axis=1), np.maximum.accumulate(index.max(axis=1))
    first = np.minimum.accumulate(first[::-1])[::-1]
    held: np.ndarray | None = None
    low, done = 0, 0
    for strip in strips:
        held = strip if held is None else np.concatenate([held, strip])
        ready = int(np.searchsorted(last, low + len(held)))
        if ready > done:
            x = _product(_lines(held), index[done:ready] - low, weight[done:ready])
            yield x.reshape(-1, *held.shape[1:])
            done = ready
            keep = int(first[done]) if done < n_out else n_in
            held, low = held[keep - low :], keep


@functools.partial(jax.jit, static_argnames="model")
def _render_tile(model: Model, params: Any, tile: jax.Array, rows: Axis, cols: Axis) -> jax.Array:
    """One tile [h, w, 3], halo included, to the output pixels [len(rows), len(cols), 3]."""
    field: Any = model.apply({"params": params}, tile[None])
    return render.grid(field, rows, cols)[0]


class NetworkUpscaler(StripUpscaler):
    """A network on tiles.

    Attributes:
      name: what tables call it.
      parameters: how many numbers the network consists of.
      compiles: true: the first picture of a new shape takes longer.
    """

    compiles = True

    def __init__(
        self,
        model: Model,
        params: Any,
        name: str,
        *,
        tile: int | str = "auto",
        ensemble: bool = False,
        memory: int | None = None,
    ) -> None:
        """Puts the parameters on the first local device.

        Args:
          model: see `models.build`.
          params: its parameters.
          name: what tables call it.
          tile: "auto", or the longest side of a tile in LR pixels, or 0 for one tile per picture,
            which compiles for every size.
          ensemble: mean over the 8 flips and rotations, in 8 times the time.
          memory: bytes that a tile may take with "auto"; by default what suits the device.

        Raises:
          InputError: a tile that is neither "auto" nor an integer >= 0.
        """
        if tile != "auto" and (not isinstance(tile, int) or isinstance(tile, bool) or tile < 0):
            raise InputError(f"tile {tile!r} is not allowed; expected auto, or an integer >= 0")
        device = jax.local_devices()[0]
        host = jax.tree.map(np.asarray, params)
        self.name = name
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(host))
        self._model, self._params = model, jax.device_put(host, device)
        self._tile, self._ensemble = tile, ensemble
        self._memory = _device_memory(device) if memory is None else memory
        self._halo = max(model.receptive_field, render.SKIP_REACH)
        self._widest = max(leaf.shape[-1] for leaf in jax.tree.leaves(host) if leaf.ndim > 1)

    def strips(self, image: np.ndarray, out_size: Size) -> Iterator[np.ndarray]:
        """See `StripUpscaler.strips`; a strip is one row of tiles."""
        _check_picture(image)
        if image.shape[2] not in (1, 3):
            raise InputError(f"picture of {image.shape[2]} channels; expected 1 or 3")
        size = _pixels(out_size[0], "rows"), _pixels(out_size[1], "columns")
        self._check_scale(image.shape, size)
        h, w = image.shape[:2]
        strips = self._enlarged(image, (max(size[0], h), max(size[1], w)))
        if size[1] < w:
            strips = (_shrink_cols(strip, size[1]) for strip in strips)
        if size[0] < h:
            strips = _shrink_rows(strips, h, size[0])
        return (np.clip(strip, 0.0, 1.0, out=strip) for strip in strips)

    def _check_scale(self, shape: Sequence[int], size: Size) -> None:
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

    def _enlarged(self, image: np.ndarray, size: Size) -> Iterator[np.ndarray]:
        tile = self._choose_tile((image.shape[0], image.shape[1]), size)
        row = 0
        while row < image.shape[0]:
            try:
                strip = self._strip(image, size, row, tile)
            except (MemoryError, jax.errors.JaxRuntimeError) as error:
                tile = _smaller_tile(tile, error)
            else:
                yield strip
                row += tile[0]

    def _choose_tile(self, n: Size, size: Size) -> Size:
        """The tile that computes the fewest cells, halos and padding included."""
        if self._tile == 0:
            return -(-n[0] // 64) * 64, -(-n[1] // 64) * 64
        limit = max(_BUCKETS) if self._tile == "auto" else int(self._tile)
        sides = sorted({limit, *(b for b in _BUCKETS if b < limit)})

        def cost(tile: Size) -> int:
            return math.prod(-(-n[a] // tile[a]) * (tile[a] + 2 * self._halo) for a in (0, 1))

        pairs = [(rows, cols) for rows in sides for cols in sides]
        if self._tile == "auto":
            allowed = [pair for pair in pairs if self._bytes(pair, n, size) <= self._memory]
            pairs = allowed or pairs[:1]
        return min(pairs, key=cost)

    def _bytes(self, tile: Size, n: Size, size: Size) -> float:
        """About how much a tile takes on the device, and its strip on the host."""
        slots = [-(-size[a] // n[a]) for a in (0, 1)]
        shuffled = max(1.0, ((self._model.fixed_scale or 1) / 2) ** 2)
        encoder = math.prod(side + 2 * self._halo for side in tile) * self._widest * 6 * shuffled
        output = math.prod(tile) * math.prod(slots) * 3 * 6
        strip = tile[0] * slots[0] * size[1] * 3
        return 4.0 * (encoder + output + strip)

    def _strip(self, image: np.ndarray, size: Size, row: int, tile: Size) -> np.ndarray:
        """Output rows of the LR rows row .. row + tile[0]."""
        n_rows, n_cols = image.shape[:2]
        flips = (False, True) if self._ensemble else (False,)
        strip: np.ndarray | None = None
        for col in range(0, n_cols, tile[1]):
            total: Any = 0.0
            for flip_rows in flips:
                rows = self._span(n_rows, size[0], row, tile[0], flip_rows)
                for flip_cols in flips:
                    cols = self._span(n_cols, size[1], col, tile[1], flip_cols)
                    for transposed in flips:
                        total = total + self._tile_output(image, rows, cols, transposed)
            if self._ensemble:
                total *= np.float32(1 / 8)
            if strip is None:
                strip = np.empty((len(total), size[1], 3), np.float32)
            strip[:, cols.begin : cols.begin + total.shape[1]] = total
        assert strip is not None
        return strip

    def _span(self, n_in: int, n_out: int, cell: int, count: int, flip: bool) -> "_Span":
        # A pixel on the border of two cells falls into the other one when the axis is flipped,
        # so that under the ensemble a window holds one cell more.
        return _Span.of(n_in, n_out, cell, count, self._halo, int(self._ensemble), flip)

    def _tile_output(
        self, image: np.ndarray, rows: "_Span", cols: "_Span", transposed: bool
    ) -> np.ndarray:
        window = _as_float(image[np.ix_(rows.lines, cols.lines)])
        if window.shape[2] == 1:
            window = np.repeat(window, 3, axis=2)
        if transposed:
            window = np.ascontiguousarray(window.swapaxes(0, 1))
            y = _render_tile(self._model, self._params, window, cols.axis, rows.axis)
            out = np.asarray(y).swapaxes(0, 1)
        else:
            out = np.asarray(_render_tile(self._model, self._params, window, rows.axis, cols.axis))
        out = out[rows.cut, cols.cut]
        return out[:: -1 if rows.flip else 1, :: -1 if cols.flip else 1]


@dataclass(frozen=True)
class _Span:
    """One axis of one tile.

    Attributes:
      lines: int[count + 2 halo], lines of the picture under the tile, mirrored at its borders.
      axis: the output pixels, for renderers.
      cut: those that are kept.
      begin: output pixel of the picture that the first one kept is, or the last if flipped.
      flip: whether the tile runs backwards.
    """

    lines: np.ndarray
    axis: Axis
    cut: slice
    begin: int
    flip: bool

    @classmethod
    def of(
        cls, n_in: int, n_out: int, cell: int, count: int, halo: int, spare: int, flip: bool
    ) -> "_Span":
        """The span of cells cell .. cell + count, which may go past the picture's end."""
        begin = first_output(cell, n_in, n_out)
        end = min(first_output(cell + count, n_in, n_out), n_out)
        start, first = (n_in - cell - count, n_out - end) if flip else (cell, begin)
        count += spare
        offset = first - first_output(start, n_in, n_out)
        lines = np.arange(start - halo, start + count + halo) % (2 * n_in)
        lines = np.minimum(lines, 2 * n_in - 1 - lines)
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


def _smaller_tile(tile: Size, error: Exception) -> Size:
    """Half the tile after it did not fit; raises MemoryError when there is nothing to halve."""
    if not isinstance(error, MemoryError) and "RESOURCE_EXHAUSTED" not in str(error):
        raise error
    if max(tile) <= min(_BUCKETS):
        raise MemoryError(f"no memory for a tile of {tile[1]}x{tile[0]} LR pixels") from error
    return max(tile[0] // 2, min(_BUCKETS)), max(tile[1] // 2, min(_BUCKETS))


def _device_memory(device: jax.Device) -> int:
    """Bytes that a tile may take: a quarter of an accelerator; on a CPU, what leaves room."""
    stats = None if device.platform == "cpu" else device.memory_stats()
    limit = (stats or {}).get("bytes_limit", 2**31)
    return max(limit // 4, 2**28)


def _check_picture(image: np.ndarray) -> None:
    if image.ndim != 3 or 0 in image.shape:
        raise InputError(f"picture of shape {image.shape}; expected [h, w, c] with pixels in it")
    if image.dtype in (np.uint8, np.uint16):
        return
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"picture of {image.dtype}; expected floating, uint8 or uint16")
    low, high = float(image.min()), float(image.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError("the picture holds numbers that are not finite")
    if low < -0.5 or high > 1.5:  # leaves room for the overshoot of an earlier resampling
        raise InputError(f"floating pictures are in [0, 1]; this one is in [{low:g}, {high:g}]")


def _as_float(pixels: np.ndarray) -> np.ndarray:
    """float32, integers scaled to [0, 1]."""
    out = pixels.astype(np.float32)
    if pixels.dtype in (np.uint8, np.uint16):
        out /= np.float32(np.iinfo(pixels.dtype).max)
    return out


def _from_array(array: np.ndarray) -> Picture:
    array = array[:, :, None] if array.ndim == 2 else array
    channels = array.shape[2]
    if channels > 4:
        raise InputError(f"picture of {channels} channels; expected 1 to 4")
    if channels in (1, 3):
        return Picture(array)
    return Picture(array[:, :, :-1], alpha=array[:, :, -1])


def _to_array(picture: Picture, ndim: int) -> np.ndarray:
    if picture.alpha is not None:
        return np.concatenate([picture.pixels, picture.alpha[:, :, None]], axis=2)
    return picture.pixels[:, :, 0] if ndim == 2 else picture.pixels


def _from_pil(image: Image.Image) -> Picture:
    """Any mode: palettes and CMYK become RGB(A), 16-bit grey stays; orientation is applied."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return Picture(np.asarray(image).astype(np.uint16)[:, :, None])
    if image.mode in ("I", "F"):
        raise InputError(f"PIL image of mode {image.mode}; expected 8 or unsigned 16 bits")
    grey = image.mode in ("1", "L", "LA", "La")
    if image.has_transparency_data:
        mode = "LA" if grey else "RGBA"
    else:
        mode = "L" if grey else "RGB"
    converted = image if image.mode == mode else image.convert(mode)
    icc = image.info.get("icc_profile") if image.mode not in ("CMYK", "LAB") else None
    return replace(_from_array(np.asarray(converted)), icc=icc)


def _to_pil(picture: Picture) -> Image.Image:
    image = Image.fromarray(_to_array(picture, 2 if picture.pixels.shape[2] == 1 else 3))
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    return image


def load(
    name_or_path: str | os.PathLike[str] = "compact",
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
    weights = load_weights(name_or_path)
    try:
        model = models.build(weights.config)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name_or_path} describes no model of this version: {reason}") from error
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    shapes = jax.eval_shape(functools.partial(models.init, model), key)
    check_params(weights.params, shapes, os.fspath(name_or_path))
    return NetworkUpscaler(model, weights.params, weights.name, tile=tile, ensemble=ensemble)
