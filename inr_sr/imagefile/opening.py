"""A picture file opened with Pillow, its errors told in one line."""

import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

from inr_sr.errors import InputError
from inr_sr.imagefile.formats import READERS

# What the decoders raise on damaged data.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError,
           RuntimeError, struct.error, zlib.error)  # fmt: skip
_PILLOW_GLOBALS = threading.Lock()


@contextmanager
def opened(
    path: str | os.PathLike[str], data: bytes | None, max_pixels: int
) -> Iterator[tuple[BinaryIO, ImageFile.ImageFile]]:
    """The open file and its header; every failure inside becomes an InputError naming the file."""
    with _stream(path, data) as file:
        try:
            image = header(file)
            cols, rows = image.size
            if rows < 1 or cols < 1:
                raise InputError(f"{cols}x{rows} pixels; at least one is needed")
            if rows * cols > max_pixels:
                raise InputError(
                    f"{cols}x{rows} = {rows * cols} pixels; at most {max_pixels} are read"
                )
            yield file, image
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except UnidentifiedImageError as error:
            raise InputError(
                f"{path} is no picture, is damaged, or of a kind that is not read here; allowed: "
                "PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000, PPM, QOI with unsigned samples "
                "of 1 to 16 bits"
            ) from error
        except _DAMAGE as error:
            raise InputError(f"{path} is damaged or truncated: {one_line(error)}") from error


def _stream(path: str | os.PathLike[str], data: bytes | None) -> BinaryIO:
    if data is not None:
        return BytesIO(data)
    if os.path.exists(path) and not os.path.isfile(path):
        kind = "folder" if os.path.isdir(path) else "pipe or a device"
        raise InputError(f"{path} is a {kind}; a picture file is needed")
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def header(file: BinaryIO) -> ImageFile.ImageFile:
    """Pillow's image, not yet decoded."""
    file.seek(0)
    with quiet_pillow():
        return Image.open(file, formats=READERS)


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """No warnings and no pixel limit of Pillow's.

    What it warns of either ends in an error of ours or is of no consequence, and our limit follows
    at once. Both are globals of the process, and pictures are read in threads: hence the lock.
    """
    with _PILLOW_GLOBALS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def one_line(error: Exception) -> str:
    """The message of an error without line breaks, or its kind if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
