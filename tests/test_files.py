import errno
import os
from pathlib import Path

import pytest

from inr_sr import files, imagefile
from inr_sr.errors import InputError, InUse
from tests.images import blocks_of, noise


def test_output_format():
    assert imagefile.output_format("a.TIF") == "TIFF"
    assert imagefile.output_format("a.png", "jpg") == "JPEG"
    for path, format in (("a.xyz", None), ("a", None), ("a.png", "gif")):
        with pytest.raises(InputError, match="allowed: png, jpg"):
            imagefile.output_format(path, format)


def test_check_writable_touches_nothing(tmp_path):
    imagefile.check_writable(tmp_path / "a.png", size=(100, 100))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    mistakes = {
        tmp_path / "none" / "a.png": "there is no folder",
        tmp_path / "file" / "a.png": "there is no folder",
        tmp_path / "folder.png": "it exists and is not a file",
        Path("/proc/a.png"): "cannot write /proc/a.png",
    }
    for path, message in mistakes.items():
        if path.parent == Path("/proc") and not path.parent.is_dir():
            continue
        with pytest.raises(InputError, match=message):
            imagefile.check_writable(path)
    for name, size in (
        ("a.webp", (10, 16_384)),
        ("a.jpg", (65_501, 10)),
        ("a.tif", (40_000, 40_000)),
    ):
        with pytest.raises(InputError, match="too large for"):
            imagefile.check_writable(tmp_path / name, size=size)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_is_an_input_error(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_temporary", lambda target: Path("/dev/full"))
    monkeypatch.setattr(Path, "unlink", lambda *args, **kwargs: None)
    for name in ("a.png", "a.tif", "a.bmp", "a.jpg"):
        blocks = blocks_of(noise(), 7)
        with pytest.raises(InputError, match=r"cannot write .*No space left"):
            imagefile.write_blocks(tmp_path / name, noise(), (37, 53), blocks)
        assert blocks.gi_frame is None  # closed


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail() -> None:
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_blocks_that_fail_leave_the_old_file(tmp_path, name):
    image, path, closed = noise(), tmp_path / name, []
    path.write_bytes(b"old")

    def blocks(end):
        try:
            yield from blocks_of(image, 7)
            yield from end
        finally:
            closed.append(True)

    def interrupted():
        raise KeyboardInterrupt
        yield

    wider = noise(size=(1, 54))
    for end, error in (
        (interrupted(), KeyboardInterrupt),
        (blocks_of(wider, 1), ValueError),
        (blocks_of(image, 37), ValueError),  # too many rows
        (iter([]), ValueError),  # too few
    ):
        with pytest.raises(error):
            imagefile.write_blocks(path, image, (50, 53), blocks(end))
        assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]
    assert len(closed) == 4


def test_atomic_path_follows_links_and_the_umask(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "a.png", tmp_path / "a.png"
    real.touch()
    link.symlink_to(real)
    imagefile.write(link, noise())
    assert link.is_symlink()
    assert real.stat().st_size > 0
    mask = os.umask(0)
    os.umask(mask)
    assert real.stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.skipif(os.name == "nt", reason="no such locks")
def test_a_folder_is_in_one_hand_at_a_time(tmp_path):
    folder = tmp_path / "a" / "b"
    with files.locked(folder):
        with pytest.raises(InUse, match="b is in use by another process"), files.locked(folder):
            pass
        with files.locked(tmp_path):
            pass
    with files.locked(folder):
        pass
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"cannot write in .*file: File exists"),
        files.locked(tmp_path / "file"),
    ):
        pass


def test_find_images(tmp_path, monkeypatch):
    for name in ("b.png", "a.JPG", "c.txt", ".hidden.png", "deep/d.webp", ".git/e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "deep" / "circle").symlink_to(tmp_path)
    here = [tmp_path / "a.JPG", tmp_path / "b.png"]
    assert imagefile.find_images(tmp_path) == here
    assert imagefile.find_images(tmp_path, recursive=True) == [*here, tmp_path / "deep" / "d.webp"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images in"):
        imagefile.find_images(tmp_path / "empty")
    with pytest.raises(InputError, match="there is no folder"):
        imagefile.find_images(tmp_path / "none")

    scandir = os.scandir

    def closed(path: str) -> object:
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert imagefile.find_images(tmp_path) == here
    with pytest.raises(InputError, match=r"cannot read the folder .*deep: Permission denied"):
        imagefile.find_images(tmp_path, recursive=True)
