"""A picture as blocks of rows from top to bottom, and their samples in other forms.

A block is uint8 or uint16 [some rows, cols, c], c as in `Picture`, alpha as one more channel.
"""

from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np

from inr_sr.imagefile.picture import Picture
from inr_sr.values import to_rgb, to_uint8

BLOCK_ROWS = 128
"""Rows handled at once, so that wider temporaries stay small beside a picture."""


def interleaved_blocks(picture: Picture) -> Generator[np.ndarray, None, None]:
    """The picture from top to bottom, BLOCK_ROWS at once."""
    for start in range(0, len(picture.pixels), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        pixels = picture.pixels[rows]
        if picture.alpha is None:
            yield pixels
        else:
            yield np.concatenate([pixels, picture.alpha[rows, :, None]], axis=2)


def regrouped(
    blocks: Iterator[np.ndarray], like: Picture, size: tuple[int, int], count: int
) -> Iterator[np.ndarray]:
    """Blocks of any heights as ones of `count` rows; the last holds what is left.

    Raises:
      ValueError: blocks that do not make a picture of `size` in the depth and channels of `like`.
    """
    line, dtype = (size[1], channels(like)), like.pixels.dtype
    held: list[np.ndarray] = []
    missing, done = count, 0
    for block in blocks:
        if (block.shape[1:], block.dtype) != (line, dtype):
            raise ValueError(
                f"block is {block.dtype} {block.shape}; expected rows of {dtype} {line}"
            )
        done += len(block)
        if done > size[0]:
            break
        while len(block) >= missing:
            yield np.concatenate([*held, block[:missing]])
            block = block[missing:]
            held, missing = [], count
        held.append(block)
        missing -= len(block)
    if done != size[0]:
        raise ValueError(f"blocks of {done} rows so far; expected {size[0]} in all")
    if missing < count:
        yield np.concatenate(held)


def channels(picture: Picture) -> int:
    """Channels of the picture's blocks, alpha included."""
    return picture.pixels.shape[2] + (picture.alpha is not None)


def on_white(like: Picture, blocks: Iterator[np.ndarray]) -> tuple[Picture, Iterator[np.ndarray]]:
    """Composited on white, rounded, without alpha."""
    if like.alpha is None:
        return like, blocks
    return replace(like, alpha=None), map(_composited, blocks)


def _composited(block: np.ndarray) -> np.ndarray:
    white = np.uint32(np.iinfo(block.dtype).max)
    pixels, alpha = block[:, :, :-1], block[:, :, -1:].astype(np.uint32)
    # At most white^2 + white / 2, which 32 bits hold at both depths.
    flat = (pixels * alpha + white * (white - alpha) + white // 2) // white
    return flat.astype(block.dtype)


def in_colour(like: Picture, blocks: Iterator[np.ndarray]) -> tuple[Picture, Iterator[np.ndarray]]:
    """Grey repeated in three channels; a profile of grey is void then."""
    if like.pixels.shape[2] == 3:
        return like, blocks
    repeated = np.broadcast_to(like.pixels, (*like.size, 3))  # a view
    order = [0, 0, 0, *range(1, channels(like))]
    return replace(like, pixels=repeated, icc=None), (block[:, :, order] for block in blocks)


def gathered(blocks: Iterator[np.ndarray], like: Picture, size: tuple[int, int]) -> np.ndarray:
    """All of the blocks, uint8 [rows, cols, c]; 16 bits are rounded. Raises as `regrouped`."""
    whole = np.empty((*size, channels(like)), np.uint8)
    row = 0
    for block in regrouped(blocks, like, size, BLOCK_ROWS):
        whole[row : row + len(block)] = to_uint8(block)
        row += len(block)
    return whole


def to_rgb8(picture: Picture) -> np.ndarray:
    """uint8 [h, w, 3]: alpha is composited on white, 16 bits are rounded, grey is repeated."""
    if picture.alpha is None:
        flat = to_uint8(picture.pixels)
    else:
        like, blocks = on_white(picture, interleaved_blocks(picture))
        flat = gathered(blocks, like, picture.size)
    return to_rgb(flat)
