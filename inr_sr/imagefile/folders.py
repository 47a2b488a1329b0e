"""The pictures of a folder."""

import os
from pathlib import Path

from inr_sr.errors import InputError
from inr_sr.imagefile.formats import READABLE_SUFFIXES


def find_images(folder: str | os.PathLike[str], recursive: bool = False) -> list[Path]:
    """The picture files of a folder by extension, sorted; hidden files and folders are left out.

    Raises:
      InputError: no such folder, one that may not be read, or no picture in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(
            f"{folder} is no folder" if root.exists() else f"there is no folder {folder}"
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
        raise InputError(f"no pictures in {folder} {depth}; known: {', '.join(READABLE_SUFFIXES)}")
    return sorted(found)


def _unreadable(error: OSError) -> None:
    raise InputError(f"cannot read the folder {error.filename}: {error.strerror}") from error
