"""Pillow's image to ImageData and back, whatever its mode.

Pillow has no 16-bit mode except for grey: it decodes 16-bit colour but keeps the upper byte of each
sample. Its raw modes for the two byte orders let the same decoder deliver the lower bytes in a
second pass, so PNG and TIFF (any compression) are read exactly, without another library. `png` and
`tiff` write them.
"""

import re
import sys
import warnings
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageFile, TiffImagePlugin

from inr_sr.errors import InputError
from inr_sr.imagefile import metadata
from inr_sr.imagefile.image import ImageData
from inr_sr.imagefile.metadata import upright
from inr_sr.imagefile.opening import header, one_line


def from_pil(image: Image.Image) -> ImageData:
    """Pillow's image as ImageData.

    Its EXIF orientation is applied; of its metadata only the ICC profile is kept.

    Raises:
      InputError: damaged; signed, 32-bit or floating-point samples.
    """
    pixels, alpha = samples(image)
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return ImageData(
        upright(pixels, orientation),
        alpha=None if alpha is None else upright(alpha, orientation),
        icc=metadata.fitting_icc(image, pixels.shape[2]),
    )


def to_pil(image: ImageData) -> Image.Image:
    """ImageData as Pillow's image: of mode L, LA, RGB or RGBA, or I;16 for 16-bit grey.

    Raises:
      InputError: 16 bits with alpha or in colour, which Pillow has no mode for.
    """
    pixels = image.pixels
    if pixels.dtype == np.uint16 and (image.alpha is not None or pixels.shape[2] == 3):
        raise InputError("Pillow has no 16-bit mode except for grey without alpha")
    out = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if image.alpha is not None:
        out.putalpha(Image.fromarray(image.alpha))
    if image.icc:
        out.info["icc_profile"] = image.icc
    return out


def decode(file: BinaryIO, image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha of a file of which `image` is the header, all 16 bits where it has them."""
    rawmode = _colour16_rawmode(image)
    return _colour16(file, image, rawmode) if rawmode else samples(image)


def samples(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha of Pillow's image of any mode, 16-bit colour excepted.

    Returns:
      pixels, uint8 or uint16 [h, w, 1 or 3], and alpha, the same type [h, w], or None.

    Raises:
      InputError: signed, 32-bit or floating-point samples.
    """
    try:
        image.load()
    except (OSError, SyntaxError) as error:
        raise InputError(f"damaged or truncated: {one_line(error)}") from error
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        raise InputError(
            f"signed, 32-bit or floating-point samples (mode {image.mode}); allowed: unsigned, "
            "1 to 16 bits"
        )
    if image.mode.startswith("I"):
        return _grey16(image)
    if image.mode == "CMYK":
        return np.asarray(_cmyk_to_srgb(image)), None
    return _samples8(image)


def _samples8(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Modes of at most 8 bits, through Pillow's conversion to L, LA, RGB or RGBA."""
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        mode += "A"
    found = np.atleast_3d(np.asarray(image if image.mode == mode else image.convert(mode)))
    if image.has_transparency_data:
        return found[:, :, :-1], found[:, :, -1]
    return found, None


def _cmyk_to_srgb(image: Image.Image) -> Image.Image:
    icc = image.info.get("icc_profile")
    if icc:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(BytesIO(icc)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError) as error:
            warnings.warn(f"CMYK profile not usable ({one_line(error)})", stacklevel=2)
        else:
            assert converted is not None  # None only when done in place
            return converted
    return image.convert("RGB")


def _colour16_rawmode(image: ImageFile.ImageFile) -> str | None:
    """The raw mode of a PNG or TIFF in 16-bit RGB, RGBA or grey with alpha, otherwise None."""
    if image.format not in ("PNG", "TIFF") or not image.tile:
        return None
    args = image.tile[0].args
    rawmode = args[0] if isinstance(args, tuple) else args
    return rawmode if rawmode and re.fullmatch("(LA|RGB[AaX]?);16[BLN]", rawmode) else None


def _colour16(
    file: BinaryIO, image: ImageFile.ImageFile, rawmode: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha, uint16; `image`, the header of `file`, is loaded by the first pass.

    Raw mode "RGB;16B" takes the first byte of every sample and "RGB;16L" the second. Pillow
    chooses the upper one; the other order delivers the lower one.
    """
    if rawmode == "LA;16B":  # 32 bits per pixel, as in RGBA: one pass delivers all the bytes
        quads = _with_rawmode(image, "RGBA").astype(np.uint16)
        return quads[:, :, 0:1] << 8 | quads[:, :, 1:2], quads[:, :, 2] << 8 | quads[:, :, 3]
    kind, order = rawmode.split(";16")
    layout = kind.replace("a", "A")  # alpha is divided out below, where all bits are known
    pixels = _with_rawmode(image, f"{layout};16{order}").astype(np.uint16)
    native = "L" if sys.byteorder == "little" else "B"
    other = "B" if order.replace("N", native) == "L" else "L"
    pixels <<= 8
    pixels |= _with_rawmode(header(file), f"{layout};16{other}")
    if pixels.shape[2] == 3:
        return pixels, _key_alpha(image, pixels)
    colours, alpha = pixels[:, :, :3], pixels[:, :, 3]
    return _unmultiplied(colours, alpha) if kind == "RGBa" else colours, alpha


def _grey16(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels and alpha, uint16; 12 bits are stretched, and a TIFF's white-is-zero is undone."""
    pixels: np.ndarray = np.asarray(image)[:, :, None].astype(np.uint16)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if image.tag_v2[TiffImagePlugin.BITSPERSAMPLE][0] == 12:
            pixels = (pixels << 4) | (pixels >> 8)
        if image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
            pixels = ~pixels
    return pixels, _key_alpha(image, pixels)


def _with_rawmode(image: ImageFile.ImageFile, rawmode: str) -> np.ndarray:
    """uint8 [h, w, c], decoded with this raw mode in place of the file's."""
    image.tile = [
        tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
        for tile in image.tile
    ]
    return np.asarray(image)


def _unmultiplied(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint16 colours that were stored multiplied by alpha, divided by it and rounded."""
    divisor = np.maximum(alpha, 1)[:, :, None].astype(np.uint32)
    restored = (colours * np.uint32(65_535) + divisor // 2) // divisor
    clipped: np.ndarray = np.minimum(restored, 65_535)
    return clipped.astype(np.uint16)


def _key_alpha(image: Image.Image, pixels: np.ndarray) -> np.ndarray | None:
    """Alpha of an image in which one colour is declared transparent (PNG's tRNS chunk)."""
    key = image.info.get("transparency")
    if key is None:
        return None
    opaque = (pixels != np.asarray(key, np.uint16)).any(axis=2)
    alpha: np.ndarray = opaque * np.uint16(65_535)
    return alpha
