"""A picture in memory, and its samples in other forms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

BLOCK_ROWS = 128
"""Rows handled at once, so that wider temporaries stay small beside the picture."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture and what its file says about it.

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
    def size(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def to_rgb8(picture: Picture) -> np.ndarray:
    """uint8 [h, w, 3]: alpha is composited on white, 16 bits are rounded, grey is repeated."""
    return _three_channels(eight_bits(on_white(picture).pixels))


def on_white(picture: Picture) -> Picture:
    """Composited on white, rounded, without alpha."""
    if picture.alpha is None:
        return picture
    white = np.uint32(np.iinfo(picture.pixels.dtype).max)
    out = np.empty_like(picture.pixels)
    for start in range(0, len(out), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        alpha = picture.alpha[rows, :, None].astype(np.uint32)
        # At most white^2 + white / 2, which 32 bits hold at both depths.
        out[rows] = (picture.pixels[rows] * alpha + white * (white - alpha) + white // 2) // white
    return replace(picture, pixels=out, alpha=None)


def in_colour(picture: Picture) -> Picture:
    """Grey repeated in three channels; a profile of grey is void then."""
    if picture.pixels.shape[2] == 3:
        return picture
    return replace(picture, pixels=_three_channels(picture.pixels), icc=None)


def eight_bits(samples: np.ndarray) -> np.ndarray:
    """round(v / 257) through a table: no temporary of the picture's size but the result."""
    if samples.dtype == np.uint8:
        return samples
    return ((np.arange(65_536) + 128) // 257).astype(np.uint8)[samples]


def interleaved_blocks(picture: Picture) -> Iterator[np.ndarray]:
    """The picture from top to bottom, BLOCK_ROWS at once, alpha as last channel."""
    for start in range(0, len(picture.pixels), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        pixels = picture.pixels[rows]
        if picture.alpha is None:
            yield pixels
        else:
            yield np.concatenate([pixels, picture.alpha[rows, :, None]], axis=2)


def _three_channels(samples: np.ndarray) -> np.ndarray:
    return samples if samples.shape[2] == 3 else np.repeat(samples, 3, axis=2)
