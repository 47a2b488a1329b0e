"""An image in memory, whole or as blocks of rows, and its samples in other forms.

A block is uint8 or uint16 [some rows, cols, c], c as in `ImageData`, alpha as one more channel;
blocks follow each other from top to bottom.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from inr_sr.sizes import Size
from inr_sr.values import to_rgb, to_uint8

Convert = Callable[[np.ndarray], np.ndarray]
"""Block to block."""

BLOCK_ROWS = 128
"""Rows handled at once, so that wider temporaries stay small beside an image."""


@dataclass(frozen=True)
class ImageData:
    """A decoded image and its metadata.

    Attributes:
      pixels: uint8 or uint16 [h, w, c], c = 1 (grey) or 3 (RGB), not multiplied by alpha.
      alpha: the same type [h, w], or None.
      icc: ICC profile that fits the channels, or None (then sRGB is meant).
      exif: EXIF block as Pillow writes it, orientation 1, or None.
      xmp: XMP packet without orientation and size, or None.
      dpi: dots per inch (horizontal, vertical), or None.
      text: text entries of a PNG; a comment of JPEG or GIF is entry "Comment".
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        if pixels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"pixels are {pixels.dtype}; uint8 or uint16 is allowed")
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
            raise ValueError(f"pixels have shape {pixels.shape}; [h, w, 1] or [h, w, 3] is allowed")
        if alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
            raise ValueError(
                f"alpha is {alpha.dtype} {alpha.shape} beside pixels {pixels.dtype} {pixels.shape}"
            )

    @property
    def size(self) -> Size:
        """(rows, cols)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def interleaved_blocks(image: ImageData) -> Generator[np.ndarray, None, None]:
    """The image as blocks of BLOCK_ROWS rows, the last one of what is left."""
    for start in range(0, len(image.pixels), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        pixels = image.pixels[rows]
        if image.alpha is None:
            yield pixels
        else:
            yield np.concatenate([pixels, image.alpha[rows, :, None]], axis=2)


class RowGroups:
    """Takes blocks of any heights and makes blocks of `count` rows of them.

    Args:
      like: an image with the depth and channels of the blocks.
      size: (rows, cols) of all blocks together.
      count: rows of the blocks to make; the last one has those that are left.
    """

    def __init__(self, like: ImageData, size: Size, count: int) -> None:
        self._line, self._dtype = (size[1], channels(like)), like.pixels.dtype
        self._rows, self._count = size[0], count
        self._held: list[np.ndarray] = []
        self._done = 0

    def add(self, block: np.ndarray) -> Iterator[np.ndarray]:
        """The blocks that are complete with this one.

        Raises:
          ValueError: a block of another width, depth or number of channels, or too many rows.
        """
        if (block.shape[1:], block.dtype) != (self._line, self._dtype):
            raise ValueError(
                f"block is {block.dtype} {block.shape}; expected rows of {self._dtype} {self._line}"
            )
        missing = self._count - self._done % self._count
        self._done += len(block)
        if self._done > self._rows:
            raise self._wrong()
        while len(block) >= missing:
            yield np.concatenate([*self._held, block[:missing]])
            block = block[missing:]
            self._held, missing = [], self._count
        if len(block):
            self._held.append(block)

    def rest(self) -> Iterator[np.ndarray]:
        """The last block, if any rows are left; ValueError where rows are missing."""
        if self._done != self._rows:
            raise self._wrong()
        if self._held:
            yield np.concatenate(self._held)

    def _wrong(self) -> ValueError:
        return ValueError(f"blocks of {self._done} rows so far; expected {self._rows} in all")


def channels(image: ImageData) -> int:
    """Channels of the image's blocks, alpha included."""
    return int(image.pixels.shape[2]) + (image.alpha is not None)


def on_white(like: ImageData) -> tuple[ImageData, Convert]:
    """The image composited on white, without alpha, rounded; and what makes its blocks."""
    if like.alpha is None:
        return like, _same
    return replace(like, alpha=None), _composited


def _same(block: np.ndarray) -> np.ndarray:
    return block


def _composited(block: np.ndarray) -> np.ndarray:
    white = np.uint32(np.iinfo(block.dtype).max)
    pixels, alpha = block[:, :, :-1], block[:, :, -1:].astype(np.uint32)
    # At most white^2 + white / 2, which 32 bits hold at both depths.
    flat = (pixels * alpha + white * (white - alpha) + white // 2) // white
    return flat.astype(block.dtype)


def in_rgb(like: ImageData) -> tuple[ImageData, Convert]:
    """The image with grey repeated, without a profile of grey; and what makes its blocks."""
    if like.pixels.shape[2] == 3:
        return like, _same
    repeated = np.broadcast_to(like.pixels, (*like.size, 3))  # a view
    order = [0, 0, 0, *range(1, channels(like))]
    return replace(like, pixels=repeated, icc=None), lambda block: block[:, :, order]


def to_rgb8(image: ImageData) -> np.ndarray:
    """uint8 [h, w, 3]: alpha is composited on white, 16 bits are rounded, grey is repeated."""
    if image.alpha is None:
        flat = to_uint8(image.pixels)
    else:
        _, convert = on_white(image)
        flat = np.empty(image.pixels.shape, np.uint8)
        parts = np.split(flat, range(BLOCK_ROWS, len(flat), BLOCK_ROWS))  # views
        for part, block in zip(parts, interleaved_blocks(image), strict=True):
            part[...] = to_uint8(convert(block))
    return to_rgb(flat)
