"""A picture in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


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
