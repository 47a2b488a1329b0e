"""Named evaluation protocols, and the LR images they start from.

A PSNR means nothing without its protocol. What moves it is the channel (luma or RGB), the border
that is cut, whether the output is rounded to 8 bits first, and which bicubic made the LR image;
each combination in use has one name here. Set5 by float bicubic, in dB (tests/test_evaluation.py):

    protocol   ×2      ×3      ×4
    y          33.678  30.404  28.431
    y-float    33.684  30.406  28.432
    y-pil      33.679  30.404  28.431

With an upscaler that rounds between its two passes, as MATLAB's does, `y` gives 33.673, 30.403
and 28.429. The published 33.66, 30.39 and 28.42 are of luma alone: rounded, resized both ways in
double precision, rounded again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from inr_sr.errors import InputError
from inr_sr.resampling import resize_uint8
from inr_sr.sizes import Scale, output_size

SSIM_WINDOW = 11
"""Side of the window of SSIM, in pixels: what is left after the border must hold one."""


@dataclass(frozen=True)
class Protocol:
    """One way to score an image.

    Attributes:
      name: on the command line.
      channel: the headline channel, and the one SSIM is measured on: "y" is the BT.601 luma of
        MATLAB's rgb2ycbcr (16..235), never rounded; "rgb" is all three channels together.
      extra_border: pixels cut at each edge beyond ceil(s) of that axis.
      rounding: "uint8" rounds the output to 8-bit RGB first, "float" only clips it.
      lr_kernel: the antialiased bicubic that makes the LR image, always 8 bits: "matlab"
        (mirrored borders) or "pil".
      description: one sentence for documents and reports.
    """

    name: str
    channel: Literal["y", "rgb"]
    extra_border: int
    rounding: Literal["float", "uint8"]
    lr_kernel: Literal["matlab", "pil"]
    description: str

    def border(self, scale: Scale) -> tuple[int, int]:
        """Rows and columns cut at each edge: ceil(s), plus the protocol's extra."""
        rows, cols = (math.ceil(s) + self.extra_border for s in scale.axes)
        return rows, cols

    @property
    def headline_metric(self) -> str:
        """Name of the metric on the protocol's channel: "psnr_y" or "psnr_rgb"."""
        return f"psnr_{self.channel}"

    def headline(self, scores: Mapping[str, float]) -> float:
        """PSNR in dB on the protocol's channel, of scores by name."""
        return scores[self.headline_metric]


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol(
            "y", "y", 0, "uint8", "matlab",
            "unrounded luma of the 8-bit RGB output, border ceil(s), 8-bit MATLAB bicubic LR",
        ),
        Protocol(
            "y-float", "y", 0, "float", "matlab",
            "luma of the clipped, unrounded output, border ceil(s), 8-bit MATLAB bicubic LR",
        ),
        Protocol(
            "y-pil", "y", 0, "uint8", "pil",
            "unrounded luma of the 8-bit RGB output, border ceil(s), 8-bit PIL bicubic LR",
        ),
        Protocol(
            "div2k", "rgb", 6, "float", "matlab",
            "RGB of the clipped, unrounded output, border ceil(s) + 6, 8-bit MATLAB bicubic LR",
        ),
        Protocol(
            "div2k-uint8", "rgb", 6, "uint8", "matlab",
            "RGB of the 8-bit output, border ceil(s) + 6, 8-bit MATLAB bicubic LR",
        ),
        Protocol(
            "div2k-pil", "rgb", 6, "float", "pil",
            "RGB of the clipped, unrounded output, border ceil(s) + 6, 8-bit PIL bicubic LR",
        ),
    )
}  # fmt: skip


def get_protocol(name: str) -> Protocol:
    """The protocol called `name`; InputError, listing those there are, for any other name."""
    if name not in PROTOCOLS:
        raise InputError(f"unknown protocol {name!r}: choose one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def pair_sizes(hr_size: tuple[int, int], scale: Scale) -> tuple[tuple[int, int], tuple[int, int]]:
    """Sizes of the LR image, floor(HR / s), and of the HR crop it is made from, round(LR s).

    The division is exact in the decimal the scale was written in: 27 / 2.7 is 10, not 9.99.
    """
    lr = [math.floor(n / Fraction(repr(s))) for n, s in zip(hr_size, scale.axes, strict=True)]
    if min(lr) < 1:
        return (lr[0], lr[1]), (0, 0)
    hr = [output_size(n, s) for n, s in zip(lr, scale.axes, strict=True)]
    return (lr[0], lr[1]), (hr[0], hr[1])


def crop_side(scale: Scale, lr_side: int) -> int:
    """Side of the HR crop that gives `lr_side` LR pixels, at a scale that both axes share."""
    return math.ceil(lr_side * Fraction(repr(scale.rows)))


def make_pair(
    hr: np.ndarray,
    scale: Scale,
    lr_kernel: Literal["matlab", "pil"] = "matlab",
    *,
    name: str = "image",
) -> tuple[np.ndarray, np.ndarray]:
    """The LR image and its ground truth.

    The HR image is cropped at its lower and right edges to round(LR s) first and downscaled
    second, so that the two cover exactly the same scene.

    Args:
      hr: uint8 [h, w, 3].
      scale: HR pixels per LR pixel.
      lr_kernel: "matlab" (mirrored borders) or "pil".
      name: of the image, for the error.

    Returns:
      LR uint8 [floor(h / rows), floor(w / cols), 3] and HR uint8, cropped.

    Raises:
      InputError: the image has less than one LR pixel at this scale.
    """
    if hr.dtype != np.uint8 or hr.ndim != 3 or hr.shape[2] != 3:
        raise ValueError(f"{name}: expected uint8 [h, w, 3], got {hr.dtype} {hr.shape}")
    lr_size, hr_size = pair_sizes((hr.shape[0], hr.shape[1]), scale)
    if min(lr_size) < 1:
        raise InputError(f"{_described(name, hr.shape)} is too small for scale {scale.label}")
    truth = hr[: hr_size[0], : hr_size[1]]
    return resize_uint8(truth, lr_size, "bicubic", mode=lr_kernel, border="mirror"), truth


def check_size(size: tuple[int, int], scale: Scale, rules: Protocol, name: str) -> None:
    """Raises InputError unless an image of (rows, cols) holds an SSIM window inside its border."""
    needed = []
    for s, border in zip(scale.axes, rules.border(scale), strict=True):
        exact = Fraction(repr(s))
        lr = math.ceil((2 * border + SSIM_WINDOW - Fraction(1, 2)) / exact)
        needed.append(math.ceil(lr * exact))
    if size[0] < needed[0] or size[1] < needed[1]:
        raise InputError(
            f"{_described(name, size)} is too small for scale {scale.label}: protocol "
            f"{rules.name!r} needs at least {needed[1]}x{needed[0]}"
        )


def _described(name: str, size: Sequence[int]) -> str:
    return f"{name} ({size[1]}x{size[0]})"
