"""Whole images: their form (PIL, 8 or 16 bits, floating), their alpha, the colours under it."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.imagefile import ImageData, from_pil, to_pil
from inr_sr.resampling.streaming import resize_in_strips
from inr_sr.sizes import Size
from inr_sr.upscaling.warping import Part
from inr_sr.values import quantise_into, to_channels

_ROWS_AT_ONCE = 64  # of an image whose hidden colours are filled in; an even number

AnyImage = TypeVar("AnyImage", np.ndarray, Image.Image)
"""An image in either form in which it may be given, and the result in the same one."""

Layer = Callable[[np.ndarray], Iterator[Part]]
"""Makes the parts of a warped image from [h, w, c]."""


class MakesStrips(Protocol):
    """What `enlarge` needs of an upscaler; see `StripUpscaler`."""

    @property
    def alpha(self) -> str: ...

    def strips(self, image: np.ndarray, out_size: Size) -> Iterator[np.ndarray]: ...


def in_form_of(
    image: AnyImage,
    of_image: Callable[[ImageData], ImageData],
    of_floats: Callable[[np.ndarray], np.ndarray],
) -> AnyImage:
    """A result in the form in which the image was given.

    Args:
      image: see `StripUpscaler.upscale`.
      of_image: makes the result of an image of 8 or 16 bits.
      of_floats: makes it of floating [h, w, c], as floating [rows, cols, c].

    Raises:
      InputError: an array that is neither [h, w] nor [h, w, c].
    """
    if isinstance(image, Image.Image):
        return to_pil(of_image(from_pil(image)))
    array = np.asarray(image)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(f"image of shape {array.shape}; expected [h, w] or [h, w, c]")
    if array.dtype in (np.uint8, np.uint16):
        return _to_array(of_image(_from_array(array)), array.ndim)
    out = of_floats(array[:, :, None] if array.ndim == 2 else array)
    return out[:, :, 0] if array.ndim == 2 else out


def _from_array(array: np.ndarray) -> ImageData:
    """Of uint8 or uint16 [h, w] or [h, w, c]; of 2 or 4 channels the last is alpha."""
    array = array[:, :, None] if array.ndim == 2 else array
    channels = array.shape[2]
    if channels > 4:
        raise InputError(f"image of {channels} channels; expected 1 to 4")
    if channels in (1, 3):
        return ImageData(array)
    return ImageData(array[:, :, :-1], alpha=array[:, :, -1])


def _to_array(image: ImageData, ndim: int) -> np.ndarray:
    """Back to an array of so many axes."""
    if image.alpha is not None:
        return np.concatenate([image.pixels, image.alpha[:, :, None]], axis=2)
    return image.pixels[:, :, 0] if ndim == 2 else image.pixels


def enlarge(upscaler: MakesStrips, image: ImageData, out_size: Size) -> ImageData:
    """The image that `enlarged_blocks` makes, in memory; metadata are kept."""
    blocks = enlarged_blocks(upscaler, image, out_size)
    dtype, channels = image.pixels.dtype, image.pixels.shape[2]
    pixels = np.empty((*out_size, channels), dtype)
    alpha = None if image.alpha is None else np.empty(out_size, dtype)
    for rows, block in with_rows(blocks):
        pixels[rows] = block[:, :, :channels]
        if alpha is not None:
            alpha[rows] = block[:, :, channels]
    return replace(image, pixels=pixels, alpha=alpha)


def enlarged_blocks(
    upscaler: MakesStrips,
    image: ImageData,
    out_size: Size,
    progress: Callable[[int], None] | None = None,
) -> Generator[np.ndarray, None, None]:
    """Enlarges an image from top to bottom, alpha included, in its own depth.

    Colours of fully transparent pixels are undefined; they are first filled in from around, so
    that they do not bleed into edges. Alpha itself is resampled.

    Args:
      upscaler: makes the colours.
      image: see `imagefile.read`.
      out_size: (rows, cols).
      progress: called with the number of output rows that have been taken.

    Yields:
      [some rows, cols, channels], alpha as one more channel: see `imagefile.writer`.

    Raises:
      InputError: see `StripUpscaler.strips`; at once, not at the first block.
      MemoryError: not even the smallest tile fits.
    """
    strips = upscaler.strips(fill_hidden(image), out_size)  # checks image and size
    channels = image.pixels.shape[2]
    colours = (to_channels(strip, channels) for strip in strips)
    pairs: Iterator[tuple[np.ndarray, np.ndarray]]
    if image.alpha is None:
        pairs = ((strip, strip[:, :, :0]) for strip in colours)
    else:
        alphas = resize_in_strips(image.alpha[:, :, None], out_size, upscaler.alpha)
        pairs = _side_by_side(colours, alphas)
    return _quantised(pairs, image.pixels.dtype, progress)


def _side_by_side(
    strips: Iterator[np.ndarray], others: Iterator[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Strips of the same rows from two that are cut in different places."""
    other = next(others)
    for strip in strips:
        while len(strip):
            other = other if len(other) else next(others)
            rows = min(len(strip), len(other))
            yield strip[:rows], other[:rows]
            strip, other = strip[rows:], other[rows:]


def _quantised(
    pairs: Iterator[tuple[np.ndarray, np.ndarray]],
    dtype: np.dtype,
    progress: Callable[[int], None] | None,
) -> Generator[np.ndarray, None, None]:
    """Colours [rows, cols, c] and alpha [rows, cols, 0 or 1] in one block of integers."""
    done = 0
    for colours, alpha in pairs:
        channels = colours.shape[2]
        block = np.empty((*alpha.shape[:2], channels + alpha.shape[2]), dtype)
        quantise_into(colours, block[:, :, :channels])
        quantise_into(alpha, block[:, :, channels:])
        yield block
        done += len(block)
        if progress is not None:
            progress(done)


def with_rows(strips: Iterator[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
    """Each strip with the rows it fills."""
    row = 0
    for strip in strips:
        yield slice(row, row + len(strip)), strip
        row += len(strip)


def warp_image(
    image: AnyImage, out_size: Size, colours: Layer, alpha: Layer, fill: float
) -> AnyImage:
    """A warped image in the form in which it was given.

    Args:
      image: see `NetworkUpscaler.warp`.
      out_size: (rows, cols).
      colours, alpha: make the parts that lie in the image.
      fill: colour of the others; their alpha is 0.
    """

    def of_image(image: ImageData) -> ImageData:
        pixels = _assembled(fill_hidden(image), image.pixels.dtype, out_size, colours, fill)
        if image.alpha is None:
            return replace(image, pixels=pixels)
        opacity = _assembled(image.alpha[:, :, None], pixels.dtype, out_size, alpha, 0.0)
        return replace(image, pixels=pixels, alpha=opacity[:, :, 0])

    def of_floats(array: np.ndarray) -> np.ndarray:
        return _assembled(array, np.dtype(np.float32), out_size, colours, fill)

    return in_form_of(image, of_image, of_floats)


def _assembled(
    image: np.ndarray, dtype: np.dtype, size: Size, layer: Layer, fill: float
) -> np.ndarray:
    """The parts of a layer on a ground of `fill`, [rows, cols, c]."""
    channels = image.shape[2]
    parts = layer(image)  # checks the image before memory is allocated
    out = np.empty((*size, channels), dtype)
    out[...] = _as(np.full((1, channels), fill, np.float32), dtype)
    for part in parts:
        values = to_channels(part.colours[None], channels)[0]
        out[part.rows, part.cols][part.mask] = _as(values, dtype)
    return out


def _as(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values in [0, 1] in the type of an image; may overwrite them."""
    if np.issubdtype(dtype, np.floating):
        return values
    out = np.empty(values.shape, dtype)
    quantise_into(values, out)
    return out


def fill_hidden(image: ImageData) -> np.ndarray:
    """Pixels with the colours under alpha 0 filled in from coarser and coarser averages."""
    if image.alpha is None or image.alpha.all() or not image.alpha.any():
        return image.pixels
    out = image.pixels.copy()
    parts = [slice(row, row + _ROWS_AT_ONCE) for row in range(0, len(out), _ROWS_AT_ONCE)]
    weights = (image.alpha[part, :, None].astype(np.float32) for part in parts)
    halves = [(_halved(out[p] * w), _halved(w)) for p, w in zip(parts, weights, strict=True)]
    filled = _filled(*(np.concatenate(half) for half in zip(*halves, strict=True)))
    for part in parts:
        hidden = image.alpha[part] == 0
        below = filled[part.start // 2 : part.stop // 2]
        out[part][hidden] = np.rint(_doubled(below, hidden.shape)[hidden])
    return out


def _filled(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted means, total / weight, and where the weight is 0 those of coarser pixels."""
    levels = [(total, weight)]
    while max(levels[-1][1].shape) > 1:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    total, weight = levels.pop()
    filled: np.ndarray = total / weight
    for total, weight in reversed(levels):
        below = _doubled(filled, total.shape)
        filled = np.where(weight > 0, total / np.maximum(weight, 1e-6), below)
    return filled


def _doubled(x: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Each pixel as 2 x 2, as far as rows and columns of `shape`."""
    return x.repeat(2, axis=0).repeat(2, axis=1)[: shape[0], : shape[1]]


def _halved(x: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels; an odd last line is repeated."""
    x = np.pad(x, ((0, x.shape[0] % 2), (0, x.shape[1] % 2), (0, 0)), mode="edge")
    x = x[::2] + x[1::2]
    total: np.ndarray = x[:, ::2] + x[:, 1::2]
    return total * np.float32(0.25)
