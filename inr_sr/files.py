"""Atomic writes of files and folders, locks, and checks that a path can be written."""

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
    """Atomic write: yields a temporary path in the same folder, renamed to `path` at the end.

    On failure the temporary file is removed, and `path` is as before. A symbolic link is followed,
    not replaced.
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
    """Atomic write: yields a temporary folder, which replaces `folder` at the end.

    On failure it is removed, and `folder` is as before.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        temporary.chmod(0o755)  # mkdtemp gives access to the owner only
        yield temporary
        _take_place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(new: Path, folder: Path) -> None:
    """Renames `new` to `folder`; an existing folder is moved aside first, and removed last."""
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
    """Locks a folder, which is created if need be, against other processes that lock it.

    The lock ends with the process, however that ends. Windows, and file systems without such
    locks, get none.

    Raises:
      InUse: another process holds it.
      InputError: the folder cannot be created or written in.
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
    """Checks, before any work, that a folder can be written, or replaced by a new one.

    Args:
      folder: it need not exist, and may be empty.
      marks: names of files that show that it is an earlier result, which may be replaced.
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
    """Checks, before any work, that a file can be written.

    A file is created in the folder and removed again: permissions alone do not show it.

    Raises:
      InputError: no such folder, it cannot be written, or something other than a file is there.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(f"cannot write {path}: it exists and is not a file")
    if not target.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {target.parent}")
    trial = _temporary(target)
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def check_folder(path: str | os.PathLike[str]) -> None:
    """Checks, before any work, that files can be written in a folder, which need not exist.

    Raises:
      InputError: something else is there, or it cannot be created or written in.
    """
    folder = Path(os.path.realpath(path))
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir():
        raise InputError(f"cannot write in {path}: {nearest} is not a folder")
    check_file(nearest / ".inr_sr")


def _temporary(target: Path) -> Path:
    # Hidden, so that a command on the whole folder never takes it for an image.
    return target.with_name(f".{target.stem[:60]}-{secrets.token_hex(4)}{target.suffix}")
