"""Metadata: EXIF, orientation, XMP, ICC profile, resolution, text; read, filtered and written."""

import os
import re
import warnings
from collections.abc import Callable, Mapping

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin

from inr_sr.imagefile.image import ImageData
from inr_sr.imagefile.opening import one_line, quiet_pillow
from inr_sr.sizes import Size

# Tags of EXIF's first directory that describe the image; the others, many of them in a TIFF,
# describe the layout of the file.
_EXIF_KEPT = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.Orientation,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.HostComputer,
        ExifTags.Base.Copyright,
        ExifTags.Base.Rating,
        ExifTags.Base.RatingPercent,
        ExifTags.Base.XPTitle,
        ExifTags.Base.XPComment,
        ExifTags.Base.XPAuthor,
        ExifTags.Base.XPKeywords,
        ExifTags.Base.XPSubject,
        ExifTags.IFD.Exif,
        ExifTags.IFD.GPSInfo,
    }
)
_XMP_STALE = re.compile(
    rb'\s(?:tiff:(?:Orientation|ImageWidth|ImageLength)|exif:Pixel[XY]Dimension)="[^"]*"'
    rb"|<(tiff:(?:Orientation|ImageWidth|ImageLength)|exif:Pixel[XY]Dimension)>[^<]*</\1>"
)
# Containers of EXIF and XMP, and ImageMagick's listings of what stood in other fields.
_PNG_TEXT_DROPPED = ("XML:com.adobe.xmp", "Raw profile type", "exif:", "tiff:", "icc:", "date:")
_TURNS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
TRANSPOSING = (5, 6, 7, 8)
"""Orientations that exchange rows and columns."""


def upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Samples [h, w, ...] with EXIF's `orientation` applied; unknown ones change nothing."""
    turn = _TURNS.get(orientation)
    return samples if turn is None else np.ascontiguousarray(turn(samples))


def read_exif(path: str | os.PathLike[str], image: Image.Image) -> Image.Exif:
    """The EXIF block; one that cannot be read is left out with a warning."""
    try:
        with quiet_pillow():
            # Not image.getexif(): a PNG would be decoded to look for what may be behind its pixels.
            exif = Image.Image.getexif(image)
            exif.tobytes()  # reads all of it, and shows whether it can be written
            return exif
    except Exception as error:  # Pillow raises many kinds for values that contradict their types
        warnings.warn(f"{path}: damaged EXIF left out ({one_line(error)})", stacklevel=3)
        return Image.Exif()


def kept_exif(exif: Image.Exif) -> bytes | None:
    """The tags that describe the image, not its file, with orientation 1, or None without any."""
    for tag in list(exif):
        if tag not in _EXIF_KEPT:
            del exif[tag]
    if ExifTags.Base.Orientation in exif:
        exif[ExifTags.Base.Orientation] = 1
    exif.bigtiff = False  # as a block of its own it is always in the layout of a small file
    return exif.tobytes() if exif else None


def kept_xmp(image: Image.Image) -> bytes | None:
    """The XMP packet without orientation and size."""
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    return _XMP_STALE.sub(b"", xmp) if xmp else None


def fitting_icc(image: Image.Image, channels: int) -> bytes | None:
    """The ICC profile, if its colour space is that of the pixels (its bytes 16 to 20 name it)."""
    converted = image.mode in ("CMYK", "LAB", "YCbCr")
    icc = image.info.get("icc_profile")
    fits = icc and not converted and icc[16:20] == (b"GRAY" if channels == 1 else b"RGB ")
    return icc if fits else None


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch (horizontal, vertical), or None."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None  # absent, or a rational without a value
    # Pillow gives 1 for a TIFF without a resolution. Values above 16 bits are implausible, and
    # some formats cannot hold them.
    valid = all(1 < value < 65_536 for value in (across, down))
    return (across, down) if valid else None


def text_entries(image: Image.Image) -> dict[str, str]:
    """The text entries of a PNG; the comment of another file as entry "Comment"."""
    if isinstance(image, PngImagePlugin.PngImageFile) and not image.is_animated:
        return {
            key: str(value)
            for key, value in image.text.items()
            if not key.startswith(_PNG_TEXT_DROPPED)
        }
    comment = image.info.get("comment")
    return {"Comment": comment.decode("utf-8", "replace").replace("\0", "")} if comment else {}


def sized_exif(image: ImageData, size: Size) -> bytes | None:
    """The EXIF block, where it holds the image's size with (rows, cols) in its place."""
    if image.exif is None:
        return None
    exif = Image.Exif()
    exif.load(image.exif)
    details = exif.get_ifd(ExifTags.IFD.Exif)
    rows, cols = size
    for tag, value in ((ExifTags.Base.ExifImageWidth, cols), (ExifTags.Base.ExifImageHeight, rows)):
        if tag in details:
            details[tag] = value
    return exif.tobytes()


def png_info(image: ImageData) -> PngImagePlugin.PngInfo:
    """Text and XMP as chunks of a PNG."""
    info = PngImagePlugin.PngInfo()
    for key, value in image.text.items():
        info.add_text(key, value)
    if image.xmp:
        info.add_itxt("XML:com.adobe.xmp", image.xmp.decode("utf-8", "replace"))
    return info
