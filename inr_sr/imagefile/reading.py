"""From a file to a Picture."""

import os
import sys
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, ImageFile

from inr_sr.errors import InputError
from inr_sr.imagefile import metadata, pil, sixteen_bit
from inr_sr.imagefile.opening import opened
from inr_sr.imagefile.orientation import TRANSPOSING, upright
from inr_sr.imagefile.picture import Picture
from inr_sr.imagefile.png import orientation_may_follow_pixels
from inr_sr.imagefile.tiff import check_tiff
from inr_sr.imagefile.torn import is_torn

MAX_PIXELS = 250_000_000
"""Default limit of a picture that is read: above any camera of today, below a bomb."""


def read(
    path: str | os.PathLike[str], *, data: bytes | None = None, max_pixels: int = MAX_PIXELS
) -> Picture:
    """Reads the first frame of a picture file; see the package's text for what is settled here.

    16 bits are kept from PNG and TIFF, and from grey PGM and JPEG 2000; deeper colour in other
    formats is read as 8 bits.

    Args:
      path: the file.
      data: the file's content, if it is at hand; `path` then only names it in messages.
      max_pixels: limit of rows times columns.

    Raises:
      InputError: no such file, no picture, damaged or truncated, more than `max_pixels`,
        floating-point or 32-bit samples.
    """
    with opened(path, data, max_pixels) as (file, image):
        check_tiff(file, image)
        stored = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation, 1)
        pixels, alpha = _decode(file, image)
        exif = metadata.read_exif(path, image)
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        dpi = metadata.resolution(image)
        # Pillow turns a TIFF by itself and forgets that it did.
        if dpi is not None and (orientation in TRANSPOSING or stored in TRANSPOSING):
            dpi = dpi[::-1]
        return Picture(
            pixels=upright(pixels, orientation),
            alpha=None if alpha is None else upright(alpha, orientation),
            icc=metadata.fitting_icc(image, pixels.shape[2]),
            exif=metadata.kept_exif(exif),
            xmp=metadata.kept_xmp(image),
            dpi=dpi,
            text=metadata.text_entries(image),
        )


def _decode(file: BinaryIO, image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha of a file of which `image` is the header."""
    rawmode = sixteen_bit.colour_rawmode(image)
    return sixteen_bit.colour(file, image, rawmode) if rawmode else pil.samples(image)


def is_result(path: str | os.PathLike[str], size: tuple[int, int]) -> bool:
    """Whether there is a picture of (rows, cols) with the end that `write` gives to its format."""
    try:
        with opened(path, None, sys.maxsize) as (file, image):
            check_tiff(file, image)
            return image.size == size[::-1] and not is_torn(file, image)
    except InputError:
        return False


def read_size(
    path: str | os.PathLike[str], *, data: bytes | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[int, int]:
    """(rows, cols) as `read` would return them, from the header wherever that is enough.

    Raises:
      InputError: as `read`, for what the header shows.
    """
    with opened(path, data, max_pixels) as (file, image):
        if image.format == "PNG" and orientation_may_follow_pixels(file):
            image.load()
        cols, rows = image.size
        if image.format == "TIFF":  # Pillow turns it, its size included, by itself
            return rows, cols
        orientation = metadata.read_exif(path, image).get(ExifTags.Base.Orientation)
        return (cols, rows) if orientation in TRANSPOSING else (rows, cols)
