"""An image in, a larger one out, by a network or by resampling, of any size.

    image --Planner--> tiles --encode--> EncodedImage of fields --render--> strips, windows, points

`plan` says which tiles fit in memory, `encoded` encodes and caches them, `upscaler` has the public
classes; `images` handles whole images with alpha, `warping` projective maps.

Strips are made one after the other. Apart from the image and a result that is returned whole,
memory is bounded by a constant, or by the output of one LR row where that is more.

Each tile is encoded with a halo of the model's receptive field, mirrored at the image's borders, so
that the network's own padding never reaches an output pixel: the result does not depend on tiles,
padding or shape buckets. Tiles are squares of a few sizes and the scale is data, so that an image
of a new size seldom compiles anything; a new scale may.

An axis that shrinks is antialiased bicubic resampling of the network's x1 result. Warps, which may
shrink in some places and enlarge in others, average the field instead.
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
