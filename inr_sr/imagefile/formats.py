"""The formats that are read and written, and what the latter can hold."""

import math
import os
from pathlib import Path

from inr_sr.errors import InputError

# Pillow's readers that need no outside program and recognise their files by content.
READERS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF", "JPEG2000", "PPM", "QOI")
READABLE_SUFFIXES = (
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm",
    ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tif", ".tiff", ".webp",
)  # fmt: skip
_WRITERS = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "webp": "WEBP",
    "tif": "TIFF",
    "tiff": "TIFF",
    "bmp": "BMP",
}
_MAX_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
# Offsets in TIFF and BMP have 32 bits; eight bytes are the largest pixel written (RGBA, 16 bits).
_MAX_AREA = {"TIFF": 2**32 // 8 - 2**20, "BMP": 2**32 // 4 - 2**20}


def output_format(path: str | os.PathLike[str], format: str | None = None) -> str:
    """The format to write: the one asked for, or that of the file's extension.

    Returns:
      "PNG", "JPEG", "WEBP", "TIFF" or "BMP".

    Raises:
      InputError: unknown format or extension.
    """
    asked = Path(path).suffix if format is None else format
    kind = _WRITERS.get(asked.lower().removeprefix("."))
    if kind is None:
        mistake = f"unknown output format {format!r}"
        if format is None:
            mistake = f"{path}: unknown output extension"
        raise InputError(f"{mistake}; allowed: {', '.join(_WRITERS)}")
    return kind


def check_limits(path: str | os.PathLike[str], kind: str, size: tuple[int, int]) -> None:
    """Makes sure that `kind` holds a picture of (rows, cols); an InputError names `path`."""
    rows, cols = size
    if max(rows, cols) > _MAX_SIDE.get(kind, math.inf):
        limit = f"whose sides are at most {_MAX_SIDE[kind]}"
    elif rows * cols > _MAX_AREA.get(kind, math.inf):
        limit = f"which holds at most {_MAX_AREA[kind]} pixels"
    else:
        return
    raise InputError(
        f"{path}: {cols}x{rows} is too large for {kind}, {limit}; PNG has no such limit"
    )
