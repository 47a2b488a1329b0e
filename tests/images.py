"""Images and files made for tests, some of them by the specification alone."""

import io
import struct
import zlib
from collections.abc import Generator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from inr_sr import imagefile
from inr_sr.imagefile import ImageData

DEPTHS = [np.uint8, np.uint16]


def noise(
    dtype: type = np.uint8, channels: int = 3, alpha: bool = False, size: tuple[int, int] = (37, 53)
) -> ImageData:
    rng = np.random.default_rng(5)
    top = np.iinfo(dtype).max
    pixels = rng.integers(0, top, (*size, channels), dtype, endpoint=True)
    return ImageData(pixels, rng.integers(0, top, size, dtype, endpoint=True) if alpha else None)


def blocks_of(image: ImageData, height: int) -> Generator[np.ndarray, None, None]:
    layers = [image.pixels] + ([] if image.alpha is None else [image.alpha[:, :, None]])
    whole = np.concatenate(layers, axis=2)
    yield from (whole[row : row + height] for row in range(0, len(whole), height))


def smooth(size: tuple[int, int] = (40, 56)) -> np.ndarray:
    rows, cols = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(rows / 9), np.cos(cols / 7), np.sin((rows + cols) / 11)]
    return np.round(127.5 + 100 * np.stack(waves, axis=2)).astype(np.uint8)


def assert_same(a: ImageData, b: ImageData) -> None:
    np.testing.assert_array_equal(a.pixels, b.pixels)
    assert a.pixels.dtype == b.pixels.dtype
    assert (a.alpha is None) == (b.alpha is None)
    if a.alpha is not None:
        np.testing.assert_array_equal(a.alpha, b.alpha)


def rewritten(path: Path, image: ImageData) -> ImageData:
    imagefile.write(path, image)
    return imagefile.read(path)


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    out = io.BytesIO()
    out.write(b"\x89PNG\r\n\x1a\n")
    for name, body in chunks:
        PngImagePlugin.putchunk(out, name, body)
    return out.getvalue()


def raw_png(samples: np.ndarray, colour_type: int, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG as its specification has it, without filters: written here, not by the module."""
    rows, cols = samples.shape[:2]
    lines = samples.astype(">u2").reshape(rows, -1).view(np.uint8)
    data = np.concatenate([np.zeros((rows, 1), np.uint8), lines], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", cols, rows, 16, colour_type, 0, 0, 0)
    return png_of((b"IHDR", header), *extra, (b"IDAT", zlib.compress(data)), (b"IEND", b""))


def encoded(format: str, pixels: np.ndarray | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(noise(size=(64, 64)).pixels if pixels is None else pixels)
    image.save(out, format=format, **options)
    return out.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif
