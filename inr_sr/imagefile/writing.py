"""From a Picture to a file."""

import os
import warnings
import zlib
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.files import atomic_path, check_file
from inr_sr.imagefile.formats import check_limits, output_format
from inr_sr.imagefile.metadata import png_info, sized_exif
from inr_sr.imagefile.opening import one_line
from inr_sr.imagefile.picture import Picture, eight_bits, in_colour, on_white
from inr_sr.imagefile.png import write_png16
from inr_sr.imagefile.tiff import write_tiff

_MAX_JPEG_SEGMENT = 65_533 - 64  # less what Pillow puts before the data


def check_writable(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
) -> None:
    """Makes sure, before any work, that a picture of (rows, cols) can be written to a path.

    Raises:
      InputError: unknown format, too large for the format, no such folder, not writable.
    """
    kind = output_format(path)
    if size is not None:
        check_limits(path, kind, size)
    check_file(path)


def write(path: str | os.PathLike[str], picture: Picture) -> None:
    """Writes a picture atomically: the file is there complete, or as it was before.

    PNG and TIFF hold everything. JPEG (quality 95, no chroma subsampling), WebP (quality 95) and
    BMP hold 8 bits, to which 16 bits are rounded. JPEG and BMP hold no alpha: the picture is
    composited on white. BMP holds no metadata but the resolution. WebP turns grey into RGB, and a
    16-bit TIFF turns grey with alpha into RGBA, which readers know. The sizes noted in EXIF are
    set to the picture's.

    Raises:
      InputError: unknown format, too large for the format, the file cannot be written.
    """
    kind = output_format(path)
    check_limits(path, kind, picture.size)
    if kind in ("JPEG", "BMP"):
        picture = on_white(picture)
    deep = picture.pixels.dtype == np.uint16
    if kind == "WEBP" or (kind == "TIFF" and deep and picture.alpha is not None):
        picture = in_colour(picture)
    try:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            if kind == "TIFF":
                write_tiff(file, picture)
            elif kind == "PNG" and deep:
                write_png16(file, picture, _options(picture, kind))
            else:
                _write_with_pillow(file, picture, kind)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or one_line(error)}") from error


def _write_with_pillow(file: BinaryIO, picture: Picture, kind: str) -> None:
    pixels = eight_bits(picture.pixels)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(eight_bits(picture.alpha)))
    stream = cast(BinaryIO, _WithoutDescriptor(file))
    image.save(stream, format=kind, **_options(picture, kind))


class _WithoutDescriptor:
    """A file without `fileno`: with it, Pillow's encoders write past us and ignore a full disk."""

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.flush = file.write, file.flush
        self.seek, self.tell = file.seek, file.tell


def _options(picture: Picture, kind: str) -> dict[str, Any]:
    """Pillow's keywords for one format: compression, then what the picture carries."""
    exif = sized_exif(picture)
    options: dict[str, Any] = {"dpi": picture.dpi, "icc_profile": picture.icc, "exif": exif}
    if kind == "PNG":
        # Run-length matching on filtered rows is five times as fast as the default on pictures
        # and no larger; on enlarged ones it beats every fast level.
        options |= {"compress_type": zlib.Z_RLE, "pnginfo": png_info(picture)}
    elif kind == "WEBP":
        # Method 2 takes half the time of the default, for files of the same size.
        options |= {"quality": 95, "method": 2, "exact": True, "xmp": picture.xmp}
    elif kind == "JPEG":
        comment = picture.text.get("Comment", "").encode()
        options |= {"quality": 95, "subsampling": 0, "xmp": picture.xmp, "comment": comment}
        for key in ("comment", "xmp", "exif"):
            if len(options[key] or b"") > _MAX_JPEG_SEGMENT:
                warnings.warn(f"too large for JPEG, left out: {key}", stacklevel=4)
                options[key] = None
    return {key: value for key, value in options.items() if value is not None}
