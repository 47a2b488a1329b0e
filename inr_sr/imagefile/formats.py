"""File formats: which are read and written, how large images they hold, files of a folder."""

import math
import os
from pathlib import Path

from inr_sr.errors import InputError
from inr_sr.sizes import Size

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
    """The format to write: `format`, or else that of the file's extension.

    Returns:
      "PNG", "JPEG", "WEBP", "TIFF" or "BMP".

    Raises:
      InputError: an unknown format or extension.
    """
    name = Path(path).suffix if format is None else format
    kind = _WRITERS.get(name.lower().removeprefix("."))
    if kind is None:
        mistake = f"unknown output format {format!r}"
        if format is None:
            mistake = f"{path}: unknown output extension"
        raise InputError(f"{mistake}; allowed: {', '.join(_WRITERS)}")
    return kind


def check_limits(path: str | os.PathLike[str], kind: str, size: Size) -> None:
    """Raises InputError, which names `path`, if format `kind` cannot hold an image of this size."""
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


def find_images(folder: str | os.PathLike[str], recursive: bool = False) -> list[Path]:
    """The image files of a folder by extension, sorted; hidden files and folders are left out.

    Raises:
      InputError: no such folder, one that may not be read, or no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(
            f"{folder} is not a folder" if root.exists() else f"there is no folder {folder}"
        )
    found: list[Path] = []
    visited: set[str] = set()  # links to folders are followed, but not in circles
    for parent, folders, files in os.walk(root, onerror=_unreadable, followlinks=True):
        visited.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and os.path.realpath(os.path.join(parent, name)) not in visited
        ]
        found += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in READABLE_SUFFIXES
        ]
    if not found:
        depth = "or below it" if recursive else "itself (its subfolders were not searched)"
        raise InputError(f"no images in {folder} {depth}; known: {', '.join(READABLE_SUFFIXES)}")
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise InputError(f"cannot read the folder {error.filename}: {error.strerror}") from error
