"""Pillow's image to a Picture and back, whatever its mode."""

import warnings
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image, ImageCms

from inr_sr.errors import InputError
from inr_sr.imagefile import metadata, sixteen_bit
from inr_sr.imagefile.opening import one_line
from inr_sr.imagefile.orientation import upright
from inr_sr.imagefile.picture import Picture


def from_pil(image: Image.Image) -> Picture:
    """A picture in memory; its EXIF orientation is applied, of its metadata the profile is kept.

    Raises:
      InputError: damaged; signed, 32-bit or floating-point samples.
    """
    pixels, alpha = samples(image)
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    return Picture(
        upright(pixels, orientation),
        alpha=None if alpha is None else upright(alpha, orientation),
        icc=metadata.fitting_icc(image, pixels.shape[2]),
    )


def to_pil(picture: Picture) -> Image.Image:
    """An image of mode L, LA, RGB or RGBA, or I;16, which has no alpha and no colours.

    Raises:
      InputError: 16 bits with alpha or in colour, which Pillow has no mode for.
    """
    pixels = picture.pixels
    if pixels.dtype == np.uint16 and (picture.alpha is not None or pixels.shape[2] == 3):
        raise InputError("Pillow has no 16-bit mode but for grey without alpha")
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    if picture.icc:
        image.info["icc_profile"] = picture.icc
    return image


def samples(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """The samples of an image of any mode.

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
        return sixteen_bit.grey(image)
    if image.mode == "CMYK":
        return np.asarray(_cmyk_to_srgb(image)), None
    return _eight_bit(image)


def _eight_bit(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Every mode of at most 8 bits, through Pillow's conversion to L, LA, RGB or RGBA."""
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
