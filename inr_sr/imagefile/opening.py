"""Image files opened with Pillow: every failure becomes an InputError of one line."""

import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO

from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from inr_sr.errors import InputError
from inr_sr.imagefile.formats import READERS

# What the decoders raise on damaged data.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError,
           RuntimeError, struct.error, zlib.error)  # fmt: skip
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
_JPEG_END = b"\xff\xd9"
_PILLOW_GLOBALS = threading.Lock()


@contextmanager
def opened(
    path: str | os.PathLike[str], data: bytes | None, max_pixels: int
) -> Iterator[tuple[BinaryIO, ImageFile.ImageFile]]:
    """Opens a file, or its content `data`, and reads its header.

    Yields:
      The file, and Pillow's image, not yet decoded.

    Raises:
      InputError: naming the file: it cannot be read, is not an image or has more than `max_pixels`;
        also for whatever fails inside the `with` block because its data are damaged.
    """
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
                f"{path} is not an image, is damaged, or of a kind that is not read here; allowed: "
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
        raise InputError(f"{path} is a {kind}; an image file is needed")
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def header(file: BinaryIO) -> ImageFile.ImageFile:
    """Pillow's image of an open file, not yet decoded."""
    file.seek(0)
    with quiet_pillow():
        return Image.open(file, formats=READERS)


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Turns Pillow's warnings and its pixel limit off.

    What it warns of either ends in an error of ours or has no consequence, and our own limit is
    checked right after. Both are globals of the process, and threads read images: hence the lock.
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


def is_truncated(file: BinaryIO, image: ImageFile.ImageFile) -> bool:
    """Whether the end of a file that `write` made is missing, without decoding it.

    Args:
      file: open and seekable.
      image: its header, from `opened`.
    """
    size = file.seek(0, os.SEEK_END)

    def number(offset: int) -> int:
        file.seek(offset)
        return int.from_bytes(file.read(4), "little")

    def ends_with(mark: bytes) -> bool:
        file.seek(max(0, size - len(mark)))
        return file.read() == mark

    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # It has no end mark. `check_tiff` checks the strips, whose lengths are written last.
        return 0 in image.tag_v2.get(ExifTags.Base.StripByteCounts, (0,))
    match image.format:
        case "PNG":
            return not ends_with(_PNG_END)
        case "JPEG":
            return not ends_with(_JPEG_END)
        case "WEBP":  # RIFF: the length of what follows the first 8 bytes
            return size < number(4) + 8
        case "BMP":
            return size < number(2)
        case _:
            return True
