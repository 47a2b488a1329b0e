import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from inr_sr import imagefile
from inr_sr.errors import InputError
from inr_sr.imagefile.image import interleaved_blocks
from inr_sr.imagefile.writing import BlockWriter
from tests.images import (
    encoded,
    noise,
    png_of,
    raw_png,
    smooth,
)


def own_tiff() -> bytes:
    out = io.BytesIO()
    image = noise(np.uint16)
    writer = BlockWriter(out, "TIFF", image, image.size)
    for block in interleaved_blocks(image):
        writer.write(block)
    writer.finish()
    return out.getvalue()


BAD_FILES: dict[str, Callable[[], bytes]] = {
    "text.png": lambda: b"this is not an image",
    "empty.jpg": lambda: b"",
    "header.png": lambda: encoded("PNG")[:20],
    "cut.png": lambda: encoded("PNG")[:3000],
    "cut16.png": lambda: raw_png(noise(np.uint16).pixels, 2)[:3000],
    "cut.jpg": lambda: encoded("JPEG")[:3000],
    "cut.webp": lambda: encoded("WEBP", lossless=True)[:3000],
    "cut.tif": lambda: encoded("TIFF")[:3000],
    "cutlzw.tif": lambda: encoded("TIFF", compression="tiff_lzw")[:3000],
    "cut16.tif": lambda: own_tiff()[:3000],
    "cut.bmp": lambda: encoded("BMP")[:3000],
    "cut.gif": lambda: encoded("GIF")[:3000],
    "float.tif": lambda: encoded("TIFF", np.zeros((8, 8), np.float32)),
    "nothing.png": lambda: raw_png(np.zeros((4, 0, 3), np.uint16), 2),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_one_line_errors(tmp_path, capfd, name):
    path = tmp_path / name
    path.write_bytes(BAD_FILES[name]())
    with pytest.raises(InputError) as error:
        imagefile.read(path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.png: No such file"):
        imagefile.read(tmp_path / "none.png")
    with pytest.raises(InputError, match="is a folder"):
        imagefile.read(tmp_path)


def test_bomb_is_refused_before_it_is_decoded(tmp_path):
    header = struct.pack(">IIBBBBB", 100_000, 90_000, 8, 2, 0, 0, 0)
    bomb = png_of((b"IHDR", header), (b"IDAT", zlib.compress(bytes(9))), (b"IEND", b""))
    (tmp_path / "bomb.png").write_bytes(bomb)
    limit = Image.MAX_IMAGE_PIXELS
    for read in (imagefile.read, imagefile.read_size):
        with pytest.raises(
            InputError, match=r"100000x90000 = 9000000000 pixels; at most 250000000"
        ):
            read(tmp_path / "bomb.png")
    assert limit == Image.MAX_IMAGE_PIXELS
    imagefile.write(tmp_path / "small.png", noise())
    with pytest.raises(InputError, match="at most 100 are read"):
        imagefile.read(tmp_path / "small.png", max_pixels=100)


def test_damaged_exif_is_left_out_with_a_warning(tmp_path):
    Image.fromarray(smooth()).save(tmp_path / "a.webp", exif=b"Exif\0\0neither byte order")
    with pytest.warns(UserWarning, match=r"a\.webp: damaged EXIF left out"):
        image = imagefile.read(tmp_path / "a.webp")
    assert image.size == (40, 56)
    assert image.exif is None
