"""A picture in, a larger one out, by a network or by resampling, of any size.

Beside the picture, and its result where that is asked for whole, working memory is bounded by
a constant, or by what one LR row of output takes where that is more: strips are made one after the
other. A network works on tiles of LR cells. Each tile is given a halo of the true receptive field,
and beyond its borders the picture is mirrored, so that the network's own padding never reaches a
pixel that is kept: the result does not depend on tiles, padding or shape buckets. Tiles are squares
of a few sizes and the scale is data, so that a new picture size at a scale that was asked
for before seldom needs a new compilation; a new scale may.

An axis that shrinks is antialiased bicubic resampling of the network's x1 result. Warps, which may
do both in one picture, are in `warping`.
"""

from inr_sr.sizes import MAX_OUTPUT_PIXELS, Size, TooManyPixels, target_size
from inr_sr.upscaling.enlarging import enlarge, enlarged_blocks
from inr_sr.upscaling.network import MAX_SCALE, NetworkUpscaler, load, warp
from inr_sr.upscaling.upscaler import ResampleUpscaler, StripUpscaler, Upscaler

__all__ = [
    "MAX_OUTPUT_PIXELS",
    "MAX_SCALE",
    "NetworkUpscaler",
    "ResampleUpscaler",
    "Size",
    "StripUpscaler",
    "TooManyPixels",
    "Upscaler",
    "enlarge",
    "enlarged_blocks",
    "load",
    "target_size",
    "warp",
]
