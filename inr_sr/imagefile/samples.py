"""From Pillow's image to arrays of samples, whatever the file's mode."""

import warnings
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageFile

from inr_sr.errors import InputError
from inr_sr.imagefile import sixteen_bit
from inr_sr.imagefile.opening import one_line


def decode(file: BinaryIO, image: ImageFile.ImageFile) -> tuple[np.ndarray, np.ndarray | None]:
    """Decodes a file of which `image` is the header.

    Returns:
        pixels, uint8 or uint16 [h, w, 1 or 3], and alpha, the same type [h, w], or None.

    Raises:
        InputError: signed, 32-bit or floating-point samples.
    """
    rawmode = sixteen_bit.colour_rawmode(image)
    if rawmode:
        return sixteen_bit.colour(file, image, rawmode)
    image.load()
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        raise InputError(
            "signed, 32-bit or floating-point samples; allowed: unsigned, 1 to 16 bits"
        )
    if image.mode.startswith("I"):
        return sixteen_bit.grey(image)
    if image.mode == "CMYK":
        return np.asarray(_cmyk_to_srgb(image)), None
    return _eight_bit(image)


def _eight_bit(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Every mode of at most 8 bits, through Pillow's conversion to L, LA, RGB or RGBA."""
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        mode += "A"
    samples = np.atleast_3d(np.asarray(image if image.mode == mode else image.convert(mode)))
    if image.has_transparency_data:
        return samples[:, :, :-1], samples[:, :, -1]
    return samples, None


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
