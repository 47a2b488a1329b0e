"""An image in, a larger one out, by a network or by resampling, of any size.

    image --Planner--> tiles --encode--> EncodedImage of fields --render--> strips, windows, points

`plan` says which tiles fit in memory, `encoded` encodes and keeps them, `upscaler` is what people
call; `images` gives them whole images with alpha, and `warping` projective maps.

Beside the image, and its result where that is asked for whole, working memory is bounded by a
constant, or by what one LR row of output takes where that is more: strips are made one after the
other. Each tile is given a halo of the true receptive field, and beyond its borders the image is
mirrored, so that the network's own padding never reaches a pixel that is kept: the result does not
depend on tiles, padding or shape buckets. Tiles are squares of a few sizes and the scale is data,
so that a new image size at a scale that was asked for before seldom needs a new compilation; a new
scale may.

An axis that shrinks is antialiased bicubic resampling of the network's x1 result. Warps, which may
do both in one image, average the field instead.
"""

from inr_sr.sizes import MAX_OUTPUT_PIXELS, Size, TooManyPixels, target_size
from inr_sr.upscaling.encoded import EncodedImage
from inr_sr.upscaling.images import enlarge, enlarged_blocks
from inr_sr.upscaling.plan import MAX_SCALE
from inr_sr.upscaling.upscaler import (
    NetworkUpscaler,
    ResampleUpscaler,
    StripUpscaler,
    Upscaler,
    load,
    warp,
)

__all__ = [
    "MAX_OUTPUT_PIXELS",
    "MAX_SCALE",
    "EncodedImage",
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
