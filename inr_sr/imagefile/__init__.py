"""Reading and writing pictures as people expect it, with Pillow alone.

What is kept from file to file: 8 or 16 bits per sample, grey or colour, alpha, the ICC profile,
EXIF, XMP, resolution in dots per inch, and the text entries of PNG or the comment of JPEG.
What is settled on the way in: a stored orientation is applied and its tag reset, palettes become
RGB(A), 1-bit becomes grey, CMYK becomes sRGB (through its profile if it has one), and of an
animation or a file of several pages the first one is read.
PNG and TIFF are written as their rows come; the other formats need the whole picture.
"""

from inr_sr.imagefile.blocks import to_rgb8
from inr_sr.imagefile.folders import find_images
from inr_sr.imagefile.formats import READABLE_SUFFIXES, output_format
from inr_sr.imagefile.picture import Picture
from inr_sr.imagefile.pil import from_pil, to_pil
from inr_sr.imagefile.reading import MAX_PIXELS, is_result, read, read_size
from inr_sr.imagefile.writing import check_writable, write, write_blocks

__all__ = [
    "MAX_PIXELS",
    "READABLE_SUFFIXES",
    "Picture",
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
]
