"""TIFF beyond Pillow: files that it would misread are refused; 16-bit colour, streamed by rows."""

import itertools
import os
import zlib
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from inr_sr.errors import InputError
from inr_sr.imagefile.image import BLOCK_ROWS, ImageData, channels
from inr_sr.imagefile.metadata import sized_exif
from inr_sr.sizes import Size


def check_tiff(file: BinaryIO, image: Image.Image) -> None:
    """Raises InputError for a TIFF that Pillow would misread or libtiff would report on stderr."""
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
        for start, count in zip(tags.get(starts, ()), tags.get(counts, ())):
            if start + count > length:
                raise InputError(f"truncated: {length} bytes, of which {start + count} are needed")


class TiffWriter:
    """TIFF of either depth: deflated strips of differences to the left neighbour (predictor 2).

    Written here because Pillow has no 16-bit colour, and loses EXIF when it compresses.

    Args:
      file: where to write; empty, and seekable.
      like, size: see `writing.writer`.

    Attributes:
      rows_at_once: rows of the blocks to write.
    """

    rows_at_once = BLOCK_ROWS

    def __init__(self, file: BinaryIO, like: ImageData, size: Size) -> None:
        self._file, self._like, self._size = file, like, size
        self._dtype = like.pixels.dtype.newbyteorder("<")
        self._lengths: list[int] = []
        strips = -(-size[0] // BLOCK_ROWS)
        _directory(like, size, [0] * strips).save(file)  # takes the place of the one at the end

    def write(self, block: np.ndarray) -> None:
        """Writes the next rows."""
        differences = block.astype(self._dtype, order="C")
        differences[:, 1:] -= block[:, :-1]
        deflate = zlib.compressobj(strategy=zlib.Z_RLE)
        strip = deflate.compress(differences.data) + deflate.flush()
        self._file.write(strip)
        self._lengths.append(len(strip))

    def finish(self) -> None:
        """Writes where the strips are."""
        self._file.seek(0)
        _directory(self._like, self._size, self._lengths).save(self._file)


def _directory(
    like: ImageData, size: Size, lengths: Sequence[int]
) -> TiffImagePlugin.ImageFileDirectory_v2:
    """The directory of strips of these lengths in bytes; its own length does not depend on them."""
    starts = itertools.accumulate(lengths[:-1], initial=0)
    samples = channels(like)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    _add_metadata(tags, like, size)
    tags[TiffImagePlugin.IMAGEWIDTH] = size[1]
    tags[TiffImagePlugin.IMAGELENGTH] = size[0]
    tags[TiffImagePlugin.BITSPERSAMPLE] = (8 * like.pixels.itemsize,) * samples
    tags[TiffImagePlugin.SAMPLESPERPIXEL] = samples
    tags[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] = 1 if samples < 3 else 2
    tags[TiffImagePlugin.PLANAR_CONFIGURATION] = 1
    tags[TiffImagePlugin.COMPRESSION] = 8  # deflate
    tags[TiffImagePlugin.PREDICTOR] = 2
    tags[TiffImagePlugin.ROWSPERSTRIP] = BLOCK_ROWS
    tags.tagtype[TiffImagePlugin.STRIPBYTECOUNTS] = 4  # 32 bits
    tags[TiffImagePlugin.STRIPBYTECOUNTS] = tuple(lengths)
    tags.tagtype[TiffImagePlugin.STRIPOFFSETS] = 4
    tags[TiffImagePlugin.STRIPOFFSETS] = tuple(starts)  # `save` moves them behind the directory
    if like.alpha is not None:
        tags[TiffImagePlugin.EXTRASAMPLES] = 2  # alpha is not multiplied in
    return tags


def _add_metadata(
    tags: TiffImagePlugin.ImageFileDirectory_v2, image: ImageData, size: Size
) -> None:
    exif = Image.Exif()
    exif.load(sized_exif(image, size) or b"")
    for tag in exif:
        if tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            directory = exif.get_ifd(tag)
            directory.pop(ExifTags.IFD.Interop, None)  # it would keep its old offset
            tags[tag] = directory
        else:
            tags[tag] = exif[tag]
    if image.icc:
        tags[TiffImagePlugin.ICCPROFILE] = image.icc
    if image.xmp:
        tags[ExifTags.Base.XMLPacket] = image.xmp
    if image.dpi:
        tags[TiffImagePlugin.RESOLUTION_UNIT] = 2
        tags[TiffImagePlugin.X_RESOLUTION], tags[TiffImagePlugin.Y_RESOLUTION] = image.dpi
