"""Where pictures lie: folders that hold them, and paths that are written to."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inr_sr.errors import InputError
from inr_sr.imagefile.formats import READABLE_SUFFIXES, check_limits, output_format


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path in the same folder; renamed to `path` at the end, removed on failure.

    A symbolic link is followed, not replaced.
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary(target)
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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


def check_file(path: str | os.PathLike[str]) -> None:
    """Makes sure, before any work, that a file can be written.

    One is made in the folder for a moment and removed: permissions alone do not tell.

    Raises:
      InputError: no such folder, not writable, or something else than a file is there.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(f"cannot write {path}: it exists and is no file")
    if not target.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {target.parent}")
    trial = _temporary(target)
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def find_images(folder: str | os.PathLike[str], recursive: bool = False) -> list[Path]:
    """The picture files of a folder by extension, sorted; hidden files and folders are left out.

    Raises:
      InputError: no such folder, one that may not be read, or no picture in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"there is no folder {folder}")
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


def _temporary(target: Path) -> Path:
    # Hidden, so that a run over the folder never takes it for a picture.
    return target.with_name(f".{target.stem[:60]}-{secrets.token_hex(4)}{target.suffix}")
