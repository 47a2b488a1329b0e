"""All 16 bits of a sample, which Pillow has no mode for except in grey.

It decodes 16-bit colour but keeps the upper byte of each sample. Its raw modes for the two byte
orders let the same decoder deliver the lower bytes in a second pass, so PNG and TIFF (any
compression) are read exactly, without another library. `png` and `tiff` write them.
"""

import re
import sys
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from inr_sr.imagefile.opening import header


def colour_rawmode(image: ImageFile.ImageFile) -> str | None:
    """The raw mode of a PNG or TIFF in 16-bit RGB, RGBA or grey with alpha, otherwise None."""
    if image.format not in ("PNG", "TIFF") or not image.tile:
        return None
    args = image.tile[0].args
    rawmode = args[0] if isinstance(args, tuple) else args
    return rawmode if rawmode and re.fullmatch("(LA|RGB[AaX]?);16[BLN]", rawmode) else None


def colour(
    file: BinaryIO, image: ImageFile.ImageFile, rawmode: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha, uint16; `image`, the header of `file`, is loaded by the first pass.

    Raw mode "RGB;16B" takes the first byte of every sample and "RGB;16L" the second. Pillow
    chooses the upper one; the other order delivers the lower one.
    """
    if rawmode == "LA;16B":  # 32 bits per pixel, as in RGBA: one pass delivers all the bytes
        quads = _decoded(image, "RGBA").astype(np.uint16)
        return quads[:, :, 0:1] << 8 | quads[:, :, 1:2], quads[:, :, 2] << 8 | quads[:, :, 3]
    kind, order = rawmode.split(";16")
    layout = kind.replace("a", "A")  # alpha is divided out below, where all bits are known
    pixels = _decoded(image, f"{layout};16{order}").astype(np.uint16)
    native = "L" if sys.byteorder == "little" else "B"
    other = "B" if order.replace("N", native) == "L" else "L"
    pixels <<= 8
    pixels |= _decoded(header(file), f"{layout};16{other}")
    if pixels.shape[2] == 3:
        return pixels, _key_alpha(image, pixels)
    colours, alpha = pixels[:, :, :3], pixels[:, :, 3]
    return _unmultiplied(colours, alpha) if kind == "RGBa" else colours, alpha


def grey(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha, uint16; 12 bits are stretched, and a TIFF's white-is-zero is undone."""
    pixels: np.ndarray = np.asarray(image)[:, :, None].astype(np.uint16)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if image.tag_v2[TiffImagePlugin.BITSPERSAMPLE][0] == 12:
            pixels = (pixels << 4) | (pixels >> 8)
        if image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
            pixels = ~pixels
    return pixels, _key_alpha(image, pixels)


def _decoded(image: ImageFile.ImageFile, rawmode: str) -> np.ndarray:
    """uint8 [h, w, c], decoded with a raw mode of our choice."""
    image.tile = [
        tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
        for tile in image.tile
    ]
    return np.asarray(image)


def _unmultiplied(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint16 colours that were stored multiplied by alpha, divided by it and rounded."""
    divisor = np.maximum(alpha, 1)[:, :, None].astype(np.uint32)
    restored = (colours * np.uint32(65_535) + divisor // 2) // divisor
    return np.minimum(restored, 65_535).astype(np.uint16)


def _key_alpha(image: Image.Image, pixels: np.ndarray) -> np.ndarray | None:
    """Alpha of a picture in which one colour is declared transparent (PNG's tRNS chunk)."""
    key = image.info.get("transparency")
    if key is None:
        return None
    opaque = (pixels != np.asarray(key, np.uint16)).any(axis=2)
    return opaque * np.uint16(65_535)
