"""Whether a picture file that `writing` made has lost its end, told without decoding it."""

import os
from typing import Any, BinaryIO

from PIL import ExifTags

_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
_JPEG_END = b"\xff\xd9"


def is_torn(file: BinaryIO, image: Any) -> bool:
    """Whether a file, of which `image` is the header, does not end as one of its format does."""
    size = file.seek(0, os.SEEK_END)

    def number(offset: int) -> int:
        file.seek(offset)
        return int.from_bytes(file.read(4), "little")

    def ends_with(mark: bytes) -> bool:
        file.seek(max(0, size - len(mark)))
        return file.read() == mark

    match image.format:
        case "PNG":
            return not ends_with(_PNG_END)
        case "JPEG":
            return not ends_with(_JPEG_END)
        case "WEBP":  # RIFF: the length of what follows the first 8 bytes
            return size < number(4) + 8
        case "BMP":
            return size < number(2)
        case "TIFF":  # without an end: `check_tiff` looks at what it holds, lengths come last
            return 0 in image.tag_v2.get(ExifTags.Base.StripByteCounts, (0,))
        case _:
            return True
