"""What a file says about its picture: taken from Pillow's image, and prepared to be written."""

from __future__ import annotations

import os
import re
import warnings

from PIL import ExifTags, Image, PngImagePlugin

from inr_sr.imagefile.opening import one_line, quiet_pillow
from inr_sr.imagefile.picture import Picture

# What describes the picture in EXIF's first directory; the rest, much of it in a TIFF, describes
# the layout of the file it was in.
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


def read_exif(path: str | os.PathLike[str], image: Image.Image) -> Image.Exif:
    """The EXIF block; an unreadable one is no reason to refuse the picture."""
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
    """What describes the picture, not the file it was in, with orientation 1."""
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
    """The profile, if its colour space is the one of the pixels (bytes 16 to 20 name it)."""
    converted = image.mode in ("CMYK", "LAB", "YCbCr")
    icc = image.info.get("icc_profile")
    fits = icc and not converted and icc[16:20] == (b"GRAY" if channels == 1 else b"RGB ")
    return icc if fits else None


def resolution(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch (horizontal, vertical)."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None  # absent, or a rational without a value
    # Pillow gives 1 for a TIFF that says nothing; what exceeds 16 bits is no resolution, and not
    # every format could hold it.
    valid = all(1 < value < 65_536 for value in (across, down))
    return (across, down) if valid else None


def text_entries(image: Image.Image) -> dict[str, str]:
    """The text of a PNG, or the comment of another file as entry "Comment"."""
    if isinstance(image, PngImagePlugin.PngImageFile) and not image.is_animated:
        return {
            key: str(value)
            for key, value in image.text.items()
            if not key.startswith(_PNG_TEXT_DROPPED)
        }
    comment = image.info.get("comment")
    return {"Comment": comment.decode("utf-8", "replace").replace("\0", "")} if comment else {}


def sized_exif(picture: Picture, size: tuple[int, int]) -> bytes | None:
    """The EXIF block with the pixel sizes it notes, if it does, set to (rows, cols)."""
    if picture.exif is None:
        return None
    exif = Image.Exif()
    exif.load(picture.exif)
    details = exif.get_ifd(ExifTags.IFD.Exif)
    rows, cols = size
    for tag, value in ((ExifTags.Base.ExifImageWidth, cols), (ExifTags.Base.ExifImageHeight, rows)):
        if tag in details:
            details[tag] = value
    return exif.tobytes()


def png_info(picture: Picture) -> PngImagePlugin.PngInfo:
    """Text and XMP as chunks of a PNG."""
    info = PngImagePlugin.PngInfo()
    for key, value in picture.text.items():
        info.add_text(key, value)
    if picture.xmp:
        info.add_itxt("XML:com.adobe.xmp", picture.xmp.decode("utf-8", "replace"))
    return info
