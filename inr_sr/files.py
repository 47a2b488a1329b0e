"""Files and folders that are written whole or not at all."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from inr_sr.errors import InputError, InUse

LOCK = ".lock"


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


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `folder`, whose place it takes at the end.

    It is removed on failure, and `folder` stays what it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        temporary.chmod(0o755)  # mkdtemp shuts everyone else out
        yield temporary
        _take_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(new: Path, folder: Path) -> None:
    """Renames `new` to `folder`; what was there is moved aside first and removed after."""
    aside = new.with_name(new.name + "-replaced")
    if folder.exists():
        os.replace(folder, aside)
    try:
        os.replace(new, folder)
    except OSError:
        if aside.exists():
            os.replace(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes that ask the same from working in a folder, which is made.

    The lock ends with the process, however that ends. Where the system or the file system has no
    such locks there is none.

    Raises:
      InUse: another process holds it.
      InputError: the folder cannot be made, or written in.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("ab")
    except OSError as error:
        raise InputError(f"cannot write in {folder}: {error.strerror}") from None
    with file:
        try:
            import fcntl  # not on Windows

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(f"{folder} is in use by another process") from None
        except (ImportError, OSError):
            pass
        yield


def check_own_folder(folder: Path, marks: Collection[str], what: str) -> None:
    """Makes sure, before any work, that a folder can be written, or replaced by a new one.

    Args:
      folder: it need not exist, and may be empty.
      marks: names that it holds if it is an earlier one.
      what: what is to be written, for messages, such as "a report".

    Raises:
      InputError: something else is there, or it cannot be written.
    """
    if not folder.exists():
        check_folder(folder.parent)
        return
    if not folder.is_dir():
        raise InputError(f"cannot write {what} to {folder}: it is a file")
    content = [entry.name for entry in folder.iterdir()]
    if content and not set(marks) <= set(content):
        raise InputError(f"cannot write {what} to {folder}: it holds other files")


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
