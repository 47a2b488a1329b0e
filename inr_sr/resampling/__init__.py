"""Antialiased resampling: bicubic, Lanczos, box and nearest, as MATLAB, PIL and JAX do it.

Output pixel i of an axis is centred at (i + 0.5) / s of the input axis, whose pixel j is centred
at j + 0.5. Shrinking stretches the kernel by 1/s, so that it averages over the footprint of an
output pixel; weights are normalised to sum to one. Programs differ in two more things: what lies
beyond the border, and when 8-bit values are rounded. Both are named options here.

    resize, resample          on the device: static geometry, traced geometry
    resize_uint8              on the host, to the bytes that MATLAB or PIL gives
    streaming                 on the host, streamed by rows, for images of any size
    bicubic                   on the device, at any LR cell and offset: the skip of a field
    taps, cubic, lanczos3, box  indices, weights and kernels of all of them
"""

from inr_sr.resampling.device import resample, resize
from inr_sr.resampling.kernels import (
    BORDERS,
    CUBIC_REACH,
    METHODS,
    box,
    cubic,
    lanczos3,
    taps,
)
from inr_sr.resampling.uint8 import MODES, resize_uint8

__all__ = [
    "BORDERS",
    "CUBIC_REACH",
    "METHODS",
    "MODES",
    "box",
    "cubic",
    "lanczos3",
    "resample",
    "resize",
    "resize_uint8",
    "taps",
]
