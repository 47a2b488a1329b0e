"""PNG beyond Pillow: 16-bit colour, streamed by rows; chunks behind the pixels."""

import itertools
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from inr_sr.imagefile.image import ImageData, channels, regrouped
from inr_sr.sizes import Size

_FILTERED_BYTES = 2**17  # at once: what stays in a core's cache
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_TEXT_WITH_ORIENTATION = (b"XML:com.adobe.xmp", b"Raw profile type")


def write_png(
    file: BinaryIO,
    like: ImageData,
    size: Size,
    blocks: Iterator[np.ndarray],
    options: Mapping[str, object],
) -> None:
    """PNG of either depth and any colour type.

    Written here because Pillow has no 16-bit colour and needs the whole image.

    Args:
      file: where to write.
      like, size, blocks: see `write_blocks`.
      options: Pillow's keywords for a PNG with the same metadata.
    """
    dtype = like.pixels.dtype.newbyteorder(">")
    colour_type = (2 if like.pixels.shape[2] == 3 else 0) + (4 if like.alpha is not None else 0)
    rows, cols = size
    header = struct.pack(">IIBBBBB", cols, rows, 8 * dtype.itemsize, colour_type, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    PngImagePlugin.putchunk(file, b"IHDR", header)
    # The other chunks as Pillow writes them beside an image of one pixel.
    for name, data, _ in PngImagePlugin.getchunks(Image.new("L", (1, 1)), **options):
        if name not in (b"IHDR", b"IDAT", b"IEND"):
            PngImagePlugin.putchunk(file, name, data)
    # Run-length matching on filtered lines is five times as fast as the default on images and
    # no larger; on upscaled ones it beats every fast level.
    deflate = zlib.compressobj(strategy=zlib.Z_RLE)
    pixel_bytes = dtype.itemsize * channels(like)
    above = np.zeros(cols * pixel_bytes, np.uint8)
    for block in regrouped(blocks, like, size, max(1, _FILTERED_BYTES // above.size)):
        lines = block.astype(dtype).reshape(len(block), -1).view(np.uint8)
        if data := deflate.compress(_filtered(lines, above, pixel_bytes).data):
            PngImagePlugin.putchunk(file, b"IDAT", data)
        above = lines[-1]
    PngImagePlugin.putchunk(file, b"IDAT", deflate.flush())
    PngImagePlugin.putchunk(file, b"IEND", b"")


def _filtered(lines: np.ndarray, above: np.ndarray, pixel_bytes: int) -> np.ndarray:
    """Filters each line with the PNG filter whose differences have the smallest sum.

    Args:
      lines: uint8 [rows, bytes].
      above: uint8 [bytes], the line before the first one.
      pixel_bytes: from a byte to its left neighbour.

    Returns:
      uint8 [rows, 1 + bytes], the filter's number first.
    """
    rows, count = lines.shape
    known = np.zeros((1 + rows, pixel_bytes + count), np.uint8)
    known[0, pixel_bytes:], known[1:, pixel_bytes:] = above, lines
    left, up, corner = known[1:, :-pixel_bytes], known[:-1, pixel_bytes:], known[:-1, :-pixel_bytes]
    out = np.empty((rows, 1 + count), np.uint8)
    least = np.full(rows, np.inf)
    mean = (left & up) + ((left ^ up) >> 1)  # rounded down; the sum would not fit
    for number, prediction in enumerate((left, up, mean, _paeth(left, up, corner)), start=1):
        differences = lines - prediction
        total = np.minimum(differences, -differences).sum(axis=1)
        better = total < least
        out[better, 0], out[better, 1:] = number, differences[better]
        least[better] = total[better]
    return out


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """PNG's Paeth predictor: the neighbour nearest to left + up - corner, ties in this order.

    Computed in bytes, which do not hold that sum. Its distances to left and up are |up - corner|
    and |left - corner|. Its distance to the corner, where the corner lies between the other two, is
    the difference of these distances; elsewhere the corner is never the nearest.
    """
    to_left = np.maximum(up, corner) - np.minimum(up, corner)
    to_up = np.maximum(left, corner) - np.minimum(left, corner)
    nearer, farther = np.minimum(to_left, to_up), np.maximum(to_left, to_up)
    between = (np.minimum(left, up) < corner) & (corner < np.maximum(left, up))
    other = _chosen(to_left <= to_up, left, up)
    return _chosen(between & (farther - nearer < nearer), corner, other)


def _chosen(condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """np.where on bytes, several times as fast."""
    chosen: np.ndarray = ((a ^ b) & -condition.view(np.uint8)) ^ b
    return chosen


def orientation_may_follow_pixels(file: BinaryIO) -> bool:
    """Whether a PNG has EXIF or XMP, which may hold an orientation, behind its pixels."""
    place = file.tell()
    behind = itertools.dropwhile(lambda chunk: chunk[0] != b"IDAT", _chunks(file))
    found = any(
        kind == b"eXIf" or (kind in _TEXT_CHUNKS and start.startswith(_TEXT_WITH_ORIENTATION))
        for kind, start in behind
    )
    file.seek(place)  # Pillow expects to go on where its header ended
    return found


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Kind and first bytes of each chunk."""
    position = file.seek(8)
    while len(head := file.read(8 + 17)) >= 8:
        length, kind = struct.unpack_from(">I4s", head)
        yield kind, head[8:]
        position = file.seek(position + length + 12)
