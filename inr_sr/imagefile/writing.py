"""From ImageData, or from blocks of rows, to a file."""

import os
import warnings
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any, BinaryIO, cast

import numpy as np
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.files import atomic_path, check_file
from inr_sr.imagefile.formats import check_limits, output_format
from inr_sr.imagefile.image import (
    BLOCK_ROWS,
    Convert,
    ImageData,
    RowGroups,
    channels,
    in_rgb,
    interleaved_blocks,
    on_white,
)
from inr_sr.imagefile.metadata import png_info, sized_exif
from inr_sr.imagefile.opening import one_line
from inr_sr.imagefile.png import PngWriter
from inr_sr.imagefile.tiff import TiffWriter
from inr_sr.sizes import Size
from inr_sr.values import to_uint8

_MAX_JPEG_SEGMENT = 65_533 - 64  # less what Pillow puts before the data


def check_writable(
    path: str | os.PathLike[str],
    *,
    size: Size | None = None,
) -> None:
    """Checks, before any work, that an image of `size` (rows, cols) can be written to `path`.

    Raises:
      InputError: unknown format, too large for the format, no such folder, not writable.
    """
    kind = output_format(path)
    if size is not None:
        check_limits(path, kind, size)
    check_file(path)


def write(path: str | os.PathLike[str], image: ImageData) -> None:
    """Writes an image, atomically; see `writer`."""
    write_blocks(path, image, image.size, interleaved_blocks(image))


def write_blocks(
    path: str | os.PathLike[str],
    like: ImageData,
    size: Size,
    blocks: Generator[np.ndarray, None, None],
) -> None:
    """Writes an image from its blocks, which are closed at the end, whatever happens.

    See `writer`.
    """
    with closing(blocks), writer(path, like, size) as file:
        for block in blocks:
            file.write(block)


@contextmanager
def writer(path: str | os.PathLike[str], like: ImageData, size: Size) -> Iterator["BlockWriter"]:
    """Writes an image block by block, atomically: in full, or the file is as before.

    PNG and TIFF keep everything, and are streamed: memory does not grow with the number of rows.
    JPEG (quality 95, no chroma subsampling), WebP (quality 95) and BMP hold 8 bits, to which
    16 bits are rounded, and need the whole image in memory: up to four bytes per pixel, and as
    many again in Pillow's copy. JPEG and BMP hold no alpha: the image is composited on white. BMP
    holds no metadata but the resolution. WebP turns grey into RGB, and a 16-bit TIFF turns grey
    with alpha into RGBA, which more programs read. Sizes in EXIF are set to `size`.

    Args:
      path: the file; its extension names the format.
      like: an image with the depth, channels, alpha and metadata of the result.
      size: (rows, cols) of the result.

    Yields:
      What takes the blocks; the file is there once the context has been left without an error.

    Raises:
      InputError: unknown format, too large for the format, the file cannot be written.
      ValueError: blocks that do not make an image of `size`.
    """
    kind = output_format(path)
    check_limits(path, kind, size)
    try:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            blocks = BlockWriter(file, kind, like, size)
            yield blocks
            blocks.finish()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or one_line(error)}") from error


class BlockWriter:
    """Takes the blocks of an image from top to bottom, see `writer`."""

    def __init__(self, file: BinaryIO, kind: str, like: ImageData, size: Size) -> None:
        self._converts: list[Convert] = []
        if kind in ("JPEG", "BMP"):
            like, convert = on_white(like)
            self._converts.append(convert)
        deep = like.pixels.dtype == np.uint16
        if kind == "WEBP" or (kind == "TIFF" and deep and like.alpha is not None):
            like, convert = in_rgb(like)
            self._converts.append(convert)
        self._format = _format_writer(file, kind, like, size)
        self._groups = RowGroups(like, size, self._format.rows_at_once)

    def write(self, block: np.ndarray) -> None:
        """Takes the next rows, [some rows, cols, channels] in the depth of the image.

        Alpha is one more channel.
        """
        for convert in self._converts:
            block = convert(block)
        for rows in self._groups.add(block):
            self._format.write(rows)

    def finish(self) -> None:
        """Completes the file; ValueError where rows are missing."""
        for rows in self._groups.rest():
            self._format.write(rows)
        self._format.finish()


def _format_writer(
    file: BinaryIO, kind: str, like: ImageData, size: Size
) -> "PngWriter | TiffWriter | _WholeWriter":
    if kind == "TIFF":
        return TiffWriter(file, like, size)
    options = _options(like, size, kind)
    if kind == "PNG":
        return PngWriter(file, like, size, options)
    return _WholeWriter(file, kind, like, size, options)


class _WholeWriter:
    """The formats that Pillow writes: all blocks in one array, rounded to 8 bits."""

    rows_at_once = BLOCK_ROWS

    def __init__(
        self, file: BinaryIO, kind: str, like: ImageData, size: Size, options: dict[str, Any]
    ) -> None:
        self._file, self._kind, self._options = file, kind, options
        self._whole = np.empty((*size, channels(like)), np.uint8)
        self._row = 0

    def write(self, block: np.ndarray) -> None:
        """Takes the next rows."""
        self._whole[self._row : self._row + len(block)] = to_uint8(block)
        self._row += len(block)

    def finish(self) -> None:
        """Writes the file."""
        whole = self._whole
        image = Image.fromarray(whole[:, :, 0] if whole.shape[2] == 1 else whole)
        stream = cast(BinaryIO, _WithoutDescriptor(self._file))
        image.save(stream, format=self._kind, **self._options)


class _WithoutDescriptor:
    """A file without `fileno`: with one, Pillow's encoders bypass it and ignore a full disk."""

    def __init__(self, file: BinaryIO) -> None:
        self.write, self.flush = file.write, file.flush
        self.seek, self.tell = file.seek, file.tell


def _options(image: ImageData, size: Size, kind: str) -> dict[str, Any]:
    """Pillow's keywords for a format: compression and metadata."""
    exif = sized_exif(image, size)
    options: dict[str, Any] = {"dpi": image.dpi, "icc_profile": image.icc, "exif": exif}
    if kind == "PNG":
        options["pnginfo"] = png_info(image)
    elif kind == "WEBP":
        # Method 2 takes half the time of the default, for files of the same size.
        options |= {"quality": 95, "method": 2, "exact": True, "xmp": image.xmp}
    elif kind == "JPEG":
        comment = image.text.get("Comment", "").encode()
        options |= {"quality": 95, "subsampling": 0, "xmp": image.xmp, "comment": comment}
        for key in ("comment", "xmp", "exif"):
            if len(options[key] or b"") > _MAX_JPEG_SEGMENT:
                warnings.warn(f"too large for JPEG, left out: {key}", stacklevel=6)
                options[key] = None
    return {key: value for key, value in options.items() if value is not None}
