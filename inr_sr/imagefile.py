"""Reading and writing pictures as people expect it, with Pillow alone.

What is kept from file to file: 8 or 16 bits per sample, grey or colour, alpha, the ICC profile,
EXIF, XMP, resolution in dots per inch, and the text entries of PNG or the comment of JPEG.
What is settled on the way in: a stored orientation is applied and its tag reset, palettes become
RGB(A), 1-bit becomes grey, CMYK becomes sRGB (through its profile if it has one), and of an
animation or a file of several pages the first one is read.

Pillow has no mode for 16-bit colour: it decodes such files but keeps the upper byte of each
sample. Its raw modes for the two byte orders let the same decoder deliver the lower bytes in a
second pass, so PNG and TIFF (any compression) are read exactly, without another library. The other
direction is short enough to be written here: `_write_png16` and `_write_tiff`.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import secrets
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import (
    ExifTags,
    Image,
    ImageCms,
    ImageFile,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
)

from inr_sr.errors import InputError

MAX_PIXELS = 250_000_000
"""Default limit of a picture that is read: above any camera of today, below a bomb."""

# Pillow's readers that need no outside program and recognise their files by content.
_READERS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF", "JPEG2000", "PPM", "QOI")
READABLE_SUFFIXES = (
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm",
    ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tif", ".tiff", ".webp",
)  # fmt: skip
_WRITERS = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "webp": "WEBP",
    "tif": "TIFF",
    "tiff": "TIFF",
    "bmp": "BMP",
}
_MAX_SIDE = {"JPEG": 65_500, "WEBP": 16_383}
# Offsets in TIFF and BMP have 32 bits; eight bytes are the largest pixel written (RGBA, 16 bits).
_MAX_AREA = {"TIFF": 2**32 // 8 - 2**20, "BMP": 2**32 // 4 - 2**20}
_MAX_JPEG_SEGMENT = 65_533 - 64  # less what Pillow puts before the data

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
_TARGETS = {"La": "LA", "LA": "LA", "PA": "RGBA", "RGBa": "RGBA", "RGBA": "RGBA"}
# What the decoders raise on damaged data.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError,
           RuntimeError, struct.error, zlib.error)  # fmt: skip
_PILLOW_GLOBALS = threading.Lock()
_ROWS_AT_ONCE = 128


@dataclass(frozen=True)
class Picture:
    """A decoded picture and what its file says about it.

    Attributes:
        pixels: uint8 or uint16 [h, w, c], c = 1 (grey) or 3 (RGB), not multiplied by alpha.
        alpha: the same type [h, w], or None.
        icc: ICC profile that fits the channels, or None (then sRGB is meant).
        exif: EXIF block as Pillow writes it, orientation 1, or None.
        xmp: XMP packet without orientation and size, or None.
        dpi: dots per inch (horizontal, vertical), or None.
        text: text entries of a PNG; a comment of JPEG or GIF is entry "Comment".
        format: Pillow's name of the file's format, such as "PNG"; empty if never in a file.
        frames: frames or pages the file holds; only the first is read.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    format: str = ""
    frames: int = 1

    def __post_init__(self) -> None:
        pixels, alpha = self.pixels, self.alpha
        if pixels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"pixels are {pixels.dtype}; uint8 or uint16 is allowed")
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
            raise ValueError(f"pixels have shape {pixels.shape}; [h, w, 1] or [h, w, 3] is allowed")
        if alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
            raise ValueError(
                f"alpha is {alpha.dtype} {alpha.shape} beside pixels {pixels.dtype} {pixels.shape}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.pixels.shape[0], self.pixels.shape[1]


# --- reading -------------------------------------------------------------------------------------


def read(
    path: str | os.PathLike[str], *, data: bytes | None = None, max_pixels: int = MAX_PIXELS
) -> Picture:
    """Reads the first frame of a picture file; see the module's text for what is settled here.

    16 bits are kept from PNG and TIFF, and from grey PGM and JPEG 2000; deeper colour in other
    formats is read as 8 bits.

    Args:
        path: the file.
        data: the file's content, if it is at hand; `path` then only names it in messages.
        max_pixels: limit of rows times columns.

    Raises:
        InputError: no such file, no picture, damaged or truncated, more than `max_pixels`,
            floating-point or 32-bit samples.
    """
    with _opened(path, data, max_pixels) as (file, image):
        _check_tiff(file, image)
        rawmode = _deep_rawmode(image)
        if rawmode:
            pixels, alpha = _deep_colour(file, image, rawmode)
            converted = False
        else:
            pixels, alpha, converted = _samples(image)
        exif = _exif(path, image)
        orientation = exif.get(ExifTags.Base.Orientation, 1)
        turn = _TURNS.get(orientation, lambda a: a)
        picture = Picture(
            pixels=np.ascontiguousarray(turn(pixels)),
            alpha=None if alpha is None else np.ascontiguousarray(turn(alpha)),
            icc=None if converted else _matching_icc(image, pixels.shape[2]),
            exif=_clean_exif(exif),
            xmp=_clean_xmp(image),
            dpi=_dpi(image),
            text=_text(image),
            format="JPEG" if image.format == "MPO" else str(image.format),
            frames=1 if image.format == "MPO" else getattr(image, "n_frames", 1),
        )
        if orientation in _TRANSPOSING and picture.dpi is not None:
            picture = replace(picture, dpi=picture.dpi[::-1])
        return picture


def read_size(
    path: str | os.PathLike[str], *, data: bytes | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[int, int]:
    """(rows, cols) as `read` would return them, from the header wherever that is enough.

    Raises:
        InputError: as `read`, for what the header shows.
    """
    with _opened(path, data, max_pixels) as (file, image):
        if image.format == "PNG" and _png_metadata_follows_pixels(file):
            image.load()
        size = image.size
        if image.format != "TIFF":  # Pillow turns a TIFF, its size included, by itself
            orientation = _exif(path, image).get(ExifTags.Base.Orientation)
            return size if orientation in _TRANSPOSING else size[::-1]
        return size[::-1]


def to_float(picture: Picture) -> np.ndarray:
    """Float32 [h, w, 3] in [0, 1]; grey is repeated, alpha is left aside."""
    scaled = picture.pixels.astype(np.float32)
    scaled /= np.float32(np.iinfo(picture.pixels.dtype).max)
    return scaled if scaled.shape[2] == 3 else np.repeat(scaled, 3, axis=2)


def to_rgb8(picture: Picture) -> np.ndarray:
    """uint8 [h, w, 3]: alpha is composited on white, 16 bits are rounded, grey is repeated."""
    pixels = _eight_bits(_flattened(picture))
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


@contextmanager
def _opened(
    path: str | os.PathLike[str], data: bytes | None, max_pixels: int
) -> Iterator[tuple[BinaryIO, ImageFile.ImageFile]]:
    """The open file and its header; every failure inside becomes an InputError naming the file."""
    if data is None and os.path.isdir(path):
        raise InputError(f"{path} is a folder; a picture file is needed")
    file: BinaryIO
    try:
        file = open(path, "rb") if data is None else BytesIO(data)  # noqa: SIM115 - closed below
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    with file:
        try:
            image = _header(file)
        except UnidentifiedImageError as error:
            raise InputError(
                f"{path} is no picture, is damaged, or of a kind that is not read here; allowed: "
                "PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF, JPEG 2000, PPM, QOI with unsigned samples "
                "of 1 to 16 bits"
            ) from error
        except _DAMAGE as error:
            raise InputError(f"{path} is damaged or truncated: {_one_line(error)}") from error
        cols, rows = image.size
        if rows < 1 or cols < 1:
            raise InputError(f"{path} has no pixels: its size is {cols}x{rows}")
        if rows * cols > max_pixels:
            raise InputError(
                f"{path} has {cols}x{rows} = {rows * cols} pixels; at most {max_pixels} are read"
            )
        try:
            with image:
                yield file, image
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        except _DAMAGE as error:
            raise InputError(f"{path} is damaged or truncated: {_one_line(error)}") from error


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """No warnings and no pixel limit of Pillow's.

    What it warns of either ends in an error of ours or is of no consequence, and our limit follows
    at once. Both are globals of the process, and pictures are read in threads: hence the lock.
    """
    with _PILLOW_GLOBALS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _header(file: BinaryIO) -> ImageFile.ImageFile:
    """Pillow's image, not yet decoded."""
    file.seek(0)
    with _quiet_pillow():
        return Image.open(file, formats=_READERS)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _samples(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Pixels, alpha, and whether colours were converted so that the file's profile is void."""
    image.load()
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
        raise InputError(
            "signed, 32-bit or floating-point samples; allowed: unsigned, 1 to 16 bits"
        )
    if image.mode in ("I", "I;16", "I;16B", "I;16L"):
        pixels = _grey16(image)[:, :, None]
    elif image.mode in ("L", "RGB"):
        pixels = np.atleast_3d(np.asarray(image))
    else:
        return _converted(image)
    return pixels, _key_alpha(image, pixels), False


def _converted(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Every other mode, through Pillow's conversion to L, LA, RGB or RGBA."""
    if image.mode == "CMYK":
        return np.asarray(_cmyk_to_srgb(image)), None, True
    mode = image.mode
    if mode == "P":
        target = "RGBA" if image.has_transparency_data else "RGB"
    elif mode == "1":
        target = "LA" if "transparency" in image.info else "L"
    else:
        target = _TARGETS.get(mode, "RGB")
    samples = np.asarray(image if mode == target else image.convert(target))
    void = mode in ("LAB", "HSV", "YCbCr")
    if target in ("LA", "RGBA"):
        return samples[:, :, :-1], samples[:, :, -1], void
    return (samples[:, :, None] if samples.ndim == 2 else samples), None, void


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
            warnings.warn(f"CMYK profile not usable ({_one_line(error)})", stacklevel=2)
        else:
            assert converted is not None  # None only when done in place
            return converted
    return image.convert("RGB")


def _grey16(image: Image.Image) -> np.ndarray:
    """uint16 [h, w]; 12-bit samples are stretched, and a TIFF's white-is-zero is undone."""
    grey = np.asarray(image)
    if image.mode == "I" and (grey.min() < 0 or grey.max() > 65_535):
        raise InputError("samples above 16 bits; allowed: unsigned, 1 to 16 bits")
    grey = grey.astype(np.uint16)
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0] == 12:
            grey = (grey << 4) | (grey >> 8)
        if image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
            grey = 65_535 - grey
    return grey


def _check_tiff(file: BinaryIO, image: Image.Image) -> None:
    """Refuses what Pillow would get wrong, or what libtiff would report on stderr by itself."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    tags = image.tag_v2
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    planar = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1)
    if planar == 2 and len(bits) > 1 and max(bits) > 8:  # Pillow would keep the wrong bytes
        raise InputError("a 16-bit TIFF in separate colour planes; allowed: interleaved colours")
    length = file.seek(0, os.SEEK_END)
    for starts, counts in (
        (TiffImagePlugin.STRIPOFFSETS, TiffImagePlugin.STRIPBYTECOUNTS),
        (TiffImagePlugin.TILEOFFSETS, TiffImagePlugin.TILEBYTECOUNTS),
    ):
        for start, count in zip(tags.get(starts, ()), tags.get(counts, ()), strict=False):
            if start + count > length:
                raise InputError(f"truncated: {length} bytes, of which {start + count} are needed")


def _deep_rawmode(image: Image.Image) -> str | None:
    """The raw mode of a PNG or TIFF in 16-bit RGB, RGBA or grey with alpha, otherwise None."""
    if image.format not in ("PNG", "TIFF") or not isinstance(image, ImageFile.ImageFile):
        return None
    args = image.tile[0].args if image.tile else None
    rawmode = args[0] if isinstance(args, tuple) else args
    return rawmode if rawmode and re.fullmatch("(LA|RGB[AaX]?);16[BLN]", rawmode) else None


def _deep_colour(
    file: BinaryIO, image: ImageFile.ImageFile, rawmode: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """All 16 bits of colour; `image` is loaded by the first of the passes.

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
    pixels |= _decoded(_header(file), f"{layout};16{other}")
    if pixels.shape[2] == 3:
        return pixels, _key_alpha(image, pixels)
    colour, alpha = pixels[:, :, :3], pixels[:, :, 3]
    return _unmultiplied(colour, alpha) if kind == "RGBa" else colour, alpha


def _decoded(image: ImageFile.ImageFile, rawmode: str) -> np.ndarray:
    """uint8 [h, w, c], decoded with a raw mode of our choice."""
    image.tile = [
        tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
        for tile in image.tile
    ]
    return np.asarray(image)


def _unmultiplied(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint16 colours that were stored multiplied by alpha, divided by it and rounded."""
    divisor = np.maximum(alpha, 1)[:, :, None].astype(np.uint32)
    restored = (colour * np.uint32(65_535) + divisor // 2) // divisor
    return np.minimum(restored, 65_535).astype(np.uint16)


def _key_alpha(image: Image.Image, pixels: np.ndarray) -> np.ndarray | None:
    """Alpha of a picture in which one colour is declared transparent (PNG's tRNS chunk)."""
    key = image.info.get("transparency")
    if key is None:
        return None
    white = np.iinfo(pixels.dtype).max
    opaque = (pixels != np.bitwise_and(key, white).astype(pixels.dtype)).any(axis=2)
    return opaque * pixels.dtype.type(white)


_TURNS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


_TRANSPOSING = (5, 6, 7, 8)


def _matching_icc(image: Image.Image, channels: int) -> bytes | None:
    """The profile, if its colour space is the one of the pixels (bytes 16 to 20 name it)."""
    icc = image.info.get("icc_profile")
    return icc if icc and icc[16:20] == (b"GRAY" if channels == 1 else b"RGB ") else None


def _exif(path: str | os.PathLike[str], image: Image.Image) -> Image.Exif:
    """The EXIF block; an unreadable one is no reason to refuse the picture."""
    try:
        with _quiet_pillow():
            # Not image.getexif(): a PNG would be decoded to look for what may be behind its pixels.
            exif = Image.Image.getexif(image)
            exif.tobytes()  # reads all of it, and shows whether it can be written
            return exif
    except Exception as error:  # Pillow raises many kinds for values that contradict their types
        warnings.warn(f"{path}: damaged EXIF left out ({_one_line(error)})", stacklevel=3)
        return Image.Exif()


def _clean_exif(exif: Image.Exif) -> bytes | None:
    """What describes the picture, not the file it was in, with orientation 1."""
    for tag in list(exif):
        if tag not in _EXIF_KEPT:
            del exif[tag]
    if ExifTags.Base.Orientation in exif:
        exif[ExifTags.Base.Orientation] = 1
    return exif.tobytes() if exif else None


def _clean_xmp(image: Image.Image) -> bytes | None:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    return _XMP_STALE.sub(b"", xmp) if xmp else None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None  # absent, or a rational without a value
    # Pillow gives 1 for a TIFF that says nothing.
    valid = all(math.isfinite(value) and value > 1 for value in (across, down))
    return (across, down) if valid else None


def _text(image: Image.Image) -> dict[str, str]:
    if isinstance(image, PngImagePlugin.PngImageFile) and not image.is_animated:
        return {
            key: str(value)
            for key, value in image.text.items()
            if not key.startswith(_PNG_TEXT_DROPPED)
        }
    comment = image.info.get("comment")
    return {"Comment": comment.decode("utf-8", "replace").replace("\0", "")} if comment else {}


def _png_metadata_follows_pixels(file: BinaryIO) -> bool:
    """Whether a PNG has EXIF or XMP, where an orientation may be, behind its pixels."""
    names = (b"XML:com.adobe.xmp", b"Raw profile type")
    start, position, behind, found = file.tell(), 8, False, False
    while not found:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            break
        length, kind = struct.unpack(">I4s", head)
        behind = behind or kind == b"IDAT"
        text = kind in (b"tEXt", b"zTXt", b"iTXt") and file.read(17).startswith(names)
        found = behind and (text or kind == b"eXIf")
        position += length + 12
    file.seek(start)  # Pillow expects to go on where its header ended
    return found


# --- writing -------------------------------------------------------------------------------------


def output_format(path: str | os.PathLike[str], format: str | None = None) -> str:
    """The format to write: the one asked for, or that of the file's extension.

    Returns:
        "PNG", "JPEG", "WEBP", "TIFF" or "BMP".

    Raises:
        InputError: unknown format or extension.
    """
    allowed = ", ".join(_WRITERS)
    if format is not None:
        try:
            return _WRITERS[format.lower().removeprefix(".")]
        except KeyError:
            raise InputError(f"unknown output format {format!r}; allowed: {allowed}") from None
    try:
        return _WRITERS[Path(path).suffix.lower().removeprefix(".")]
    except KeyError:
        raise InputError(f"{path}: unknown output extension; allowed: {allowed}") from None


def check_writable(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    size: tuple[int, int] | None = None,
) -> None:
    """Makes sure, before any work, that a picture of (rows, cols) can be written to a path.

    A file is made in the folder for a moment and removed: permissions alone do not tell.

    Raises:
        InputError: unknown format, too large for the format, no such folder, not writable.
    """
    kind = output_format(path, format)
    if size is not None:
        _check_limits(path, kind, size)
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise InputError(f"cannot write {path}: it exists and is no file")
    if not target.parent.is_dir():
        raise InputError(f"cannot write {path}: there is no folder {target.parent}")
    trial = _temporary(target)
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def write(path: str | os.PathLike[str], picture: Picture, *, format: str | None = None) -> None:
    """Writes a picture atomically: the file is there complete, or as it was before.

    PNG and TIFF hold everything. JPEG (quality 95, no chroma subsampling), WebP (quality 95) and
    BMP hold 8 bits, to which 16 bits are rounded. JPEG and BMP hold no alpha: the picture is
    composited on white. BMP holds no metadata but the resolution. WebP turns grey into RGB, and a
    16-bit TIFF turns grey with alpha into RGBA, which readers know. The sizes noted in EXIF are
    set to the picture's.

    Raises:
        InputError: unknown format, too large for the format, the file cannot be written.
    """
    kind = output_format(path, format)
    _check_limits(path, kind, picture.size)
    if kind in ("JPEG", "BMP"):
        picture = replace(picture, pixels=_flattened(picture), alpha=None)
    deep = picture.pixels.dtype == np.uint16
    if kind == "WEBP" or (kind == "TIFF" and deep and picture.alpha is not None):
        picture = _coloured(picture)
    try:
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            if kind == "PNG" and deep:
                _write_png16(file, picture)
            elif kind == "TIFF":
                _write_tiff(file, picture)
            else:
                _write_with_pillow(file, picture, kind)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or _one_line(error)}") from error


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path in the same folder; renamed to `path` at the end, removed on failure.

    A symbolic link is followed, not replaced.
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary(target)
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _temporary(target: Path) -> Path:
    # Hidden, so that a run over the folder never takes it for a picture.
    return target.with_name(f".{target.stem[:60]}-{secrets.token_hex(4)}{target.suffix}")


def _check_limits(path: str | os.PathLike[str], kind: str, size: tuple[int, int]) -> None:
    rows, cols = size
    side = _MAX_SIDE.get(kind)
    if side is not None and max(rows, cols) > side:
        raise InputError(f"{path}: {cols}x{rows} is too large for {kind}, whose sides are at most "
                         f"{side}; PNG has no such limit")  # fmt: skip
    area = _MAX_AREA.get(kind)
    if area is not None and rows * cols > area:
        raise InputError(f"{path}: {cols}x{rows} is too large for {kind}, which holds at most "
                         f"{area} pixels; PNG has no such limit")  # fmt: skip


def _flattened(picture: Picture) -> np.ndarray:
    """Pixels composited on white, rounded; by rows, so that 32-bit copies stay small."""
    if picture.alpha is None:
        return picture.pixels
    white = np.uint32(np.iinfo(picture.pixels.dtype).max)
    out = np.empty_like(picture.pixels)
    for start in range(0, len(out), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        alpha = picture.alpha[rows, :, None].astype(np.uint32)
        # At most white^2 + white / 2, which 32 bits hold at both depths.
        out[rows] = (picture.pixels[rows] * alpha + white * (white - alpha) + white // 2) // white
    return out


def _coloured(picture: Picture) -> Picture:
    """Grey repeated in three channels; a profile of grey is void then."""
    if picture.pixels.shape[2] == 3:
        return picture
    return replace(picture, pixels=np.repeat(picture.pixels, 3, axis=2), icc=None)


def _eight_bits(samples: np.ndarray) -> np.ndarray:
    """round(v / 257) through a table: no temporary of the picture's size but the result."""
    if samples.dtype == np.uint8:
        return samples
    return ((np.arange(65_536) + 128) // 257).astype(np.uint8)[samples]


def _write_with_pillow(file: BinaryIO, picture: Picture, kind: str) -> None:
    pixels = _eight_bits(picture.pixels)
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(_eight_bits(picture.alpha)))
    image.save(file, format=kind, **_options(picture, kind))


def _options(picture: Picture, kind: str) -> dict[str, object]:
    """Pillow's keywords for one format: compression, then what the picture carries."""
    exif = _sized_exif(picture)
    options: dict[str, object] = {"dpi": picture.dpi, "icc_profile": picture.icc, "exif": exif}
    if kind == "PNG":
        # Run-length matching on filtered rows is five times as fast as the default on pictures
        # and no larger; on enlarged ones it beats every fast level.
        options |= {"compress_type": zlib.Z_RLE, "pnginfo": _png_text(picture)}
    elif kind == "WEBP":
        # Method 2 takes half the time of the default, for files of the same size.
        options |= {"quality": 95, "method": 2, "exact": True, "xmp": picture.xmp}
    elif kind == "JPEG":
        comment = picture.text.get("Comment", "").encode()
        options |= {"quality": 95, "subsampling": 0, "xmp": picture.xmp, "comment": comment}
        for key in ("comment", "xmp", "exif"):
            value = options[key]
            if isinstance(value, bytes) and len(value) > _MAX_JPEG_SEGMENT:
                warnings.warn(f"too large for JPEG, left out: {key}", stacklevel=4)
                options[key] = None
    return {key: value for key, value in options.items() if value is not None}


def _sized_exif(picture: Picture) -> bytes | None:
    """The EXIF block with the pixel sizes it notes, if it does, set to this picture's."""
    if picture.exif is None:
        return None
    exif = Image.Exif()
    exif.load(picture.exif)
    details = exif.get_ifd(ExifTags.IFD.Exif)
    rows, cols = picture.size
    for tag, value in ((ExifTags.Base.ExifImageWidth, cols), (ExifTags.Base.ExifImageHeight, rows)):
        if tag in details:
            details[tag] = value
    return exif.tobytes()


def _png_text(picture: Picture) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for key, value in picture.text.items():
        info.add_text(key, value)
    if picture.xmp:
        info.add_itxt("XML:com.adobe.xmp", picture.xmp.decode("utf-8", "replace"))
    return info


def _interleaved(picture: Picture, rows: slice) -> np.ndarray:
    """[rows, w, c] with alpha as last channel."""
    pixels = picture.pixels[rows]
    if picture.alpha is None:
        return pixels
    return np.concatenate([pixels, picture.alpha[rows, :, None]], axis=2)


def _write_png16(file: BinaryIO, picture: Picture) -> None:
    """16-bit PNG of any colour type. Each row is filtered by its left neighbour ("Sub")."""
    rows, cols = picture.size
    alpha = picture.alpha is not None
    colour_type = (2 if picture.pixels.shape[2] == 3 else 0) + (4 if alpha else 0)
    pixel_bytes = 2 * (picture.pixels.shape[2] + alpha)
    header = struct.pack(">IIBBBBB", cols, rows, 16, colour_type, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    PngImagePlugin.putchunk(file, b"IHDR", header)
    # The other chunks as Pillow writes them beside a picture of one pixel.
    for name, data, _ in PngImagePlugin.getchunks(
        Image.new("L", (1, 1)), **_options(picture, "PNG")
    ):
        if name not in (b"IHDR", b"IDAT", b"IEND"):
            PngImagePlugin.putchunk(file, name, data)
    deflate = zlib.compressobj(strategy=zlib.Z_RLE)
    for start in range(0, rows, _ROWS_AT_ONCE):
        block = _interleaved(picture, slice(start, start + _ROWS_AT_ONCE)).astype(">u2")
        samples = block.reshape(len(block), -1).view(np.uint8)
        filtered = np.ones((len(block), 1 + samples.shape[1]), np.uint8)  # 1 names the filter
        filtered[:, 1:] = samples
        filtered[:, 1 + pixel_bytes :] -= samples[:, :-pixel_bytes]
        if data := deflate.compress(filtered.data):
            PngImagePlugin.putchunk(file, b"IDAT", data)
    PngImagePlugin.putchunk(file, b"IDAT", deflate.flush())
    PngImagePlugin.putchunk(file, b"IEND", b"")


def _write_tiff(file: BinaryIO, picture: Picture) -> None:
    """TIFF of either depth: strips of deflated differences to the left neighbour (predictor 2).

    Written here because Pillow knows no 16-bit colour, and loses EXIF where it compresses.
    """
    dtype = picture.pixels.dtype.newbyteorder("<")
    strips = []
    for start in range(0, len(picture.pixels), _ROWS_AT_ONCE):
        block = _interleaved(picture, slice(start, start + _ROWS_AT_ONCE)).astype(dtype)
        block[:, 1:] -= block[:, :-1].copy()
        deflate = zlib.compressobj(strategy=zlib.Z_RLE)
        strips.append(deflate.compress(block.data) + deflate.flush())
    end = _tiff_directory(picture, [len(strip) for strip in strips]).save(file)
    assert end == file.tell()
    file.writelines(strips)


def _tiff_directory(picture: Picture, lengths: list[int]) -> TiffImagePlugin.ImageFileDirectory_v2:
    channels = picture.pixels.shape[2] + (picture.alpha is not None)
    starts = itertools.accumulate(lengths[:-1], initial=0)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    exif = Image.Exif()
    exif.load(_sized_exif(picture) or b"")
    for tag in exif:
        if tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            directory = exif.get_ifd(tag)
            directory.pop(ExifTags.IFD.Interop, None)  # it would keep its old offset
            tags[tag] = directory
        else:
            tags[tag] = exif[tag]
    tags[TiffImagePlugin.IMAGEWIDTH] = picture.size[1]
    tags[TiffImagePlugin.IMAGELENGTH] = picture.size[0]
    tags[TiffImagePlugin.BITSPERSAMPLE] = (8 * picture.pixels.itemsize,) * channels
    tags[TiffImagePlugin.SAMPLESPERPIXEL] = channels
    tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 1 if channels < 3 else 2
    tags[TiffImagePlugin.PLANAR_CONFIGURATION] = 1
    tags[TiffImagePlugin.COMPRESSION] = 8  # deflate
    tags[TiffImagePlugin.PREDICTOR] = 2
    tags[TiffImagePlugin.ROWSPERSTRIP] = _ROWS_AT_ONCE
    tags.tagtype[TiffImagePlugin.STRIPBYTECOUNTS] = 4  # 32 bits
    tags[TiffImagePlugin.STRIPBYTECOUNTS] = tuple(lengths)
    tags.tagtype[TiffImagePlugin.STRIPOFFSETS] = 4
    tags[TiffImagePlugin.STRIPOFFSETS] = tuple(starts)  # `save` moves them behind the directory
    if picture.alpha is not None:
        tags[TiffImagePlugin.EXTRASAMPLES] = 2  # alpha that is not multiplied in
    if picture.icc:
        tags[TiffImagePlugin.ICCPROFILE] = picture.icc
    if picture.xmp:
        tags[ExifTags.Base.XMLPacket] = picture.xmp
    if picture.dpi:
        tags[TiffImagePlugin.RESOLUTION_UNIT] = 2
        tags[TiffImagePlugin.X_RESOLUTION], tags[TiffImagePlugin.Y_RESOLUTION] = picture.dpi
    return tags


# --- folders -------------------------------------------------------------------------------------


def find_images(folder: str | os.PathLike[str], recursive: bool = False) -> list[Path]:
    """The picture files of a folder by extension, sorted; hidden files and folders are left out.

    Raises:
        InputError: no such folder, or no picture in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"there is no folder {folder}")
    found: list[Path] = []
    visited: set[str] = set()  # links to folders are followed, but not in circles
    for parent, folders, files in os.walk(root, followlinks=True):
        visited.add(os.path.realpath(parent))
        folders[:] = [
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and os.path.realpath(os.path.join(parent, name)) not in visited
        ]
        found += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in READABLE_SUFFIXES
        ]
    if not found:
        depth = "or below it" if recursive else "itself (its subfolders were not searched)"
        raise InputError(
            f"no pictures in {folder} {depth}; known: {', '.join(sorted(READABLE_SUFFIXES))}"
        )
    return sorted(found)
