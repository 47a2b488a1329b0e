"""Whole pictures: their depth, their alpha, the colours under it."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from inr_sr.imagefile import ImageData
from inr_sr.resampling.streaming import resize_in_strips
from inr_sr.sizes import Size
from inr_sr.values import quantise_into, to_channels

if TYPE_CHECKING:
    from inr_sr.upscaling.upscaler import StripUpscaler

_ROWS_AT_ONCE = 64  # of a picture whose hidden colours are filled in; an even number


def enlarge(upscaler: "StripUpscaler", picture: ImageData, out_size: Size) -> ImageData:
    """The picture that `enlarged_blocks` makes, in memory; metadata are kept."""
    blocks = enlarged_blocks(upscaler, picture, out_size)
    dtype, channels = picture.pixels.dtype, picture.pixels.shape[2]
    pixels = np.empty((*out_size, channels), dtype)
    alpha = None if picture.alpha is None else np.empty(out_size, dtype)
    for rows, block in placed(blocks):
        pixels[rows] = block[:, :, :channels]
        if alpha is not None:
            alpha[rows] = block[:, :, channels]
    return replace(picture, pixels=pixels, alpha=alpha)


def enlarged_blocks(
    upscaler: "StripUpscaler",
    picture: ImageData,
    out_size: Size,
    progress: Callable[[int], None] | None = None,
) -> Generator[np.ndarray, None, None]:
    """Enlarges a picture from top to bottom, alpha included, in its own depth.

    Colours of fully transparent pixels are undefined; they are first filled in from around, so
    that they do not bleed into edges. Alpha itself is resampled.

    Args:
      upscaler: makes the colours.
      picture: see `imagefile.read`.
      out_size: (rows, cols).
      progress: told how many output rows have been taken.

    Yields:
      [some rows, cols, channels], alpha as one more channel: see `imagefile.write_blocks`.

    Raises:
      InputError: see `StripUpscaler.strips`; at once, not at the first block.
      MemoryError: not even the smallest tile fits.
    """
    strips = upscaler.strips(hidden_filled(picture), out_size)  # refuses what cannot be
    channels = picture.pixels.shape[2]
    colours = (to_channels(strip, channels) for strip in strips)
    pairs: Iterator[tuple[np.ndarray, np.ndarray]]
    if picture.alpha is None:
        pairs = ((strip, strip[:, :, :0]) for strip in colours)
    else:
        alphas = resize_in_strips(picture.alpha[:, :, None], out_size, upscaler.alpha)
        pairs = _side_by_side(colours, alphas)
    return _quantised(pairs, picture.pixels.dtype, progress)


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


def placed(strips: Iterator[np.ndarray]) -> Iterator[tuple[slice, np.ndarray]]:
    """Each strip with the rows it fills."""
    row = 0
    for strip in strips:
        yield slice(row, row + len(strip)), strip
        row += len(strip)


def hidden_filled(picture: ImageData) -> np.ndarray:
    """Pixels with the colours under alpha 0 filled in from coarser and coarser averages."""
    if picture.alpha is None or picture.alpha.all() or not picture.alpha.any():
        return picture.pixels
    out = picture.pixels.copy()
    parts = [slice(row, row + _ROWS_AT_ONCE) for row in range(0, len(out), _ROWS_AT_ONCE)]
    weights = (picture.alpha[part, :, None].astype(np.float32) for part in parts)
    halves = [(_halved(out[p] * w), _halved(w)) for p, w in zip(parts, weights, strict=True)]
    filled = _filled(*(np.concatenate(half) for half in zip(*halves, strict=True)))
    for part in parts:
        hidden = picture.alpha[part] == 0
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
    return (x[:, ::2] + x[:, 1::2]) * np.float32(0.25)
