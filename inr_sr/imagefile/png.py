"""PNG where Pillow does not reach: 16-bit colour, and chunks behind the pixels."""

import itertools
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

from inr_sr.imagefile.picture import Picture, interleaved_blocks

_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_TEXT_WITH_ORIENTATION = (b"XML:com.adobe.xmp", b"Raw profile type")


def write_png16(file: BinaryIO, picture: Picture, options: Mapping[str, Any]) -> None:
    """16-bit PNG of any colour type. Each row is filtered by its left neighbour ("Sub").

    Args:
      file: where to write.
      picture: uint16.
      options: Pillow's keywords for a PNG with the same metadata.
    """
    rows, cols = picture.size
    channels = picture.pixels.shape[2]
    alpha = picture.alpha is not None
    colour_type = (2 if channels == 3 else 0) + (4 if alpha else 0)
    pixel_bytes = 2 * (channels + alpha)
    header = struct.pack(">IIBBBBB", cols, rows, 16, colour_type, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    PngImagePlugin.putchunk(file, b"IHDR", header)
    # The other chunks as Pillow writes them beside a picture of one pixel.
    for name, data, _ in PngImagePlugin.getchunks(Image.new("L", (1, 1)), **options):
        if name not in (b"IHDR", b"IDAT", b"IEND"):
            PngImagePlugin.putchunk(file, name, data)
    deflate = zlib.compressobj(strategy=zlib.Z_RLE)
    for block in interleaved_blocks(picture):
        samples = block.astype(">u2").reshape(len(block), -1).view(np.uint8)
        filtered = np.ones((len(block), 1 + samples.shape[1]), np.uint8)  # 1 names the filter
        filtered[:, 1:] = samples
        filtered[:, 1 + pixel_bytes :] -= samples[:, :-pixel_bytes]
        if data := deflate.compress(filtered.data):
            PngImagePlugin.putchunk(file, b"IDAT", data)
    PngImagePlugin.putchunk(file, b"IDAT", deflate.flush())
    PngImagePlugin.putchunk(file, b"IEND", b"")


def orientation_may_follow_pixels(file: BinaryIO) -> bool:
    """Whether a PNG has EXIF or XMP, where an orientation may be, behind its pixels."""
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
