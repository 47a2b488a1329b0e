"""From a file to ImageData."""

import os
import sys

from PIL import ExifTags

from inr_sr.errors import InputError
from inr_sr.imagefile import metadata
from inr_sr.imagefile.image import ImageData
from inr_sr.imagefile.metadata import TRANSPOSING, upright
from inr_sr.imagefile.opening import is_truncated, opened
from inr_sr.imagefile.pillow import decode
from inr_sr.imagefile.png import orientation_may_follow_pixels
from inr_sr.imagefile.tiff import check_tiff
from inr_sr.sizes import Size

MAX_PIXELS = 250_000_000
"""Default limit of an image that is read: above today's cameras, below a decompression bomb."""


def read(
    path: str | os.PathLike[str], *, data: bytes | None = None, max_pixels: int = MAX_PIXELS
) -> ImageData:
    """Reads the first frame of an image file; the package's docstring says what is converted.

    16 bits are kept from PNG and TIFF, and from grey PGM and JPEG 2000; deeper colour in other
    formats is read as 8 bits.

    Args:
      path: the file.
      data: the file's content, if it was read already; `path` then only names it in messages.
      max_pixels: limit of rows times columns.

    Raises:
      InputError: no such file, not an image, damaged or truncated, more than `max_pixels`,
        floating-point or 32-bit samples.
    """
    with opened(path, data, max_pixels) as (file, image):
        check_tiff(file, image)
        stored = getattr(image, "tag_v2", {}).get(ExifTags.Base.Orientation, 1)
        pixels, alpha = decode(file, image)
        exif = metadata.read_exif(path, image)
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        dpi = metadata.resolution(image)
        # Pillow applies the orientation of a TIFF itself, and resets the tag.
        if dpi is not None and (orientation in TRANSPOSING or stored in TRANSPOSING):
            dpi = dpi[::-1]
        return ImageData(
            pixels=upright(pixels, orientation),
            alpha=None if alpha is None else upright(alpha, orientation),
            icc=metadata.fitting_icc(image, pixels.shape[2]),
            exif=metadata.kept_exif(exif),
            xmp=metadata.kept_xmp(image),
            dpi=dpi,
            text=metadata.text_entries(image),
        )


def is_result(path: str | os.PathLike[str], size: Size) -> bool:
    """Whether `path` is a complete file that `write` made of an image of (rows, cols)."""
    try:
        with opened(path, None, sys.maxsize) as (file, image):
            check_tiff(file, image)
            return image.size == size[::-1] and not is_truncated(file, image)
    except InputError:
        return False


def read_size(
    path: str | os.PathLike[str], *, data: bytes | None = None, max_pixels: int = MAX_PIXELS
) -> Size:
    """(rows, cols) as `read` would return them; the pixels are decoded only if they must be.

    Raises:
      InputError: as `read`, as far as the header shows it.
    """
    with opened(path, data, max_pixels) as (file, image):
        if image.format == "PNG" and orientation_may_follow_pixels(file):
            image.load()
        cols, rows = image.size
        if image.format == "TIFF":  # Pillow has applied its orientation to the size
            return rows, cols
        orientation = metadata.read_exif(path, image).get(ExifTags.Base.Orientation)
        return (cols, rows) if orientation in TRANSPOSING else (rows, cols)
