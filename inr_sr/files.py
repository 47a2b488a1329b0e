"""Files that are written whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from inr_sr.errors import InputError


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


def check_folder(path: str | os.PathLike[str]) -> None:
    """Makes sure, before any work, that files can be written in a folder, which need not exist.

    Raises:
      InputError: something else is there, or it cannot be made or written in.
    """
    folder = Path(os.path.realpath(path))
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir():
        raise InputError(f"cannot write in {path}: {nearest} is no folder")
    check_file(nearest / ".inr_sr")


def _temporary(target: Path) -> Path:
    # Hidden, so that a run over the folder never takes it for a picture.
    return target.with_name(f".{target.stem[:60]}-{secrets.token_hex(4)}{target.suffix}")
