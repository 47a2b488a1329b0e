"""Image files, read and written with Pillow alone.

Kept from file to file: 8 or 16 bits per sample, grey or colour, alpha, the ICC profile, EXIF, XMP,
resolution in dots per inch, and the text entries of PNG or the comment of JPEG.
Converted when read: a stored orientation is applied and its tag reset, palettes become RGB(A),
1 bit becomes grey, and CMYK becomes sRGB (through its profile if it has one). Of an animation or of
several pages the first is read.
PNG and TIFF are streamed by rows to the file; the other formats need the whole image.
"""

from inr_sr.imagefile.formats import READABLE_SUFFIXES, find_images, output_format
from inr_sr.imagefile.image import ImageData, to_rgb8
from inr_sr.imagefile.pillow import from_pil, to_pil
from inr_sr.imagefile.reading import MAX_PIXELS, is_result, read, read_size
from inr_sr.imagefile.writing import check_writable, write, write_blocks, writer

__all__ = [
    "MAX_PIXELS",
    "READABLE_SUFFIXES",
    "ImageData",
    "check_writable",
    "find_images",
    "from_pil",
    "is_result",
    "output_format",
    "read",
    "read_size",
    "to_pil",
    "to_rgb8",
    "write",
    "write_blocks",
    "writer",
]
