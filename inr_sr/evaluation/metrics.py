"""The metrics of an evaluation, by name: PSNR, SSIM and LR consistency of one image.

A new metric is a function of an `EvaluatedImage` and one line in METRICS: evaluation, JSON, tables
and report take it from there.

Everything here is float64 on the host: a metric should not depend on the device or on its
matrix precision. Images are uint8, or floating in [0, 1]; a metric of either is the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from inr_sr.evaluation.protocols import Protocol
from inr_sr.resampling import resize_uint8
from inr_sr.sizes import Scale
from inr_sr.values import to_float64, to_uint8

_LUMA = np.array([65.481, 128.553, 24.966]) / 255.0
_LUMA_OFFSET = 16.0 / 255.0

MAX_DB = 100.0
"""What stands for the infinite PSNR of equal images where a finite number is needed."""


def luma(image: np.ndarray) -> np.ndarray:
    """BT.601 luma as MATLAB's rgb2ycbcr has it, unrounded.

    Args:
      image: RGB [..., 3], uint8 or floating in [0, 1].

    Returns:
      float64 [...], 16/255 for black to 235/255 for white.
    """
    return to_float64(image) @ _LUMA + _LUMA_OFFSET


def shave(image: np.ndarray, border: tuple[int, int]) -> np.ndarray:
    """`image` [h, w, ...] without `border` = (rows, cols) pixels at each edge."""
    rows, cols = border
    return image[rows : image.shape[0] - rows, cols : image.shape[1] - cols]


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB over all elements; infinite for equal images.

    The peak is white: 255 for uint8, 1 for floating input, so both give the same number.
    """
    if image.shape != truth.shape:
        raise ValueError(f"cannot compare images of shapes {image.shape} and {truth.shape}")
    error = float(np.mean(np.square(to_float64(image) - to_float64(truth))))
    return math.inf if error == 0.0 else -10.0 * math.log10(error)


def ssim(image: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of Wang et al. 2004 (doi:10.1109/TIP.2003.819861).

    An 11 x 11 Gaussian window of sigma 1.5 at every place where it fits, K1 = 0.01, K2 = 0.03.

    Args:
      image, truth: [h, w] or [h, w, c] (the mean over channels), each side at least 11,
        uint8 or floating in [0, 1].
    """
    if image.shape != truth.shape:
        raise ValueError(f"cannot compare images of shapes {image.shape} and {truth.shape}")
    x, y = to_float64(image), to_float64(truth)
    if x.ndim == 3:
        return float(np.mean([ssim(x[..., c], y[..., c]) for c in range(x.shape[2])]))
    c1, c2 = 0.01**2, 0.03**2
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return float(np.mean(luminance * (2 * covariance + c2) / (var_x + var_y + c2)))


def _blur(plane: np.ndarray) -> np.ndarray:
    """Means of [h, w] under the window of SSIM, at every place where it fits: [h - 10, w - 10]."""
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window /= window.sum()
    for _ in range(2):  # rows, then, transposed, columns
        n = plane.shape[0] - len(window) + 1
        if n < 1:
            raise ValueError(f"SSIM needs at least {len(window)} pixels per axis")
        total = window[5] * plane[5 : 5 + n]
        for k in range(5):
            total += window[k] * (plane[k : k + n] + plane[10 - k : 10 - k + n])
        plane = total.T
    return plane


def lr_consistency(
    image: np.ndarray, lr: np.ndarray, lr_kernel: Literal["matlab", "pil"] = "matlab"
) -> float:
    """PSNR in dB, over RGB, of the output downscaled again against the LR image it was made from.

    The output is rounded to 8 bits and downscaled with the kernel that made the LR image from the
    ground truth. The ground truth itself therefore scores infinity. No border is cut.

    Args:
      image: the output [H, W, 3], uint8 or floating in [0, 1].
      lr: uint8 [h, w, 3].
      lr_kernel: the kernel that made `lr`.
    """
    size = (lr.shape[0], lr.shape[1])
    return psnr(resize_uint8(to_uint8(image), size, "bicubic", mode=lr_kernel, border="mirror"), lr)


@dataclass(frozen=True)
class EvaluatedImage:
    """What a metric compares: one output, its ground truth, and the LR image it was made from.

    Attributes:
      output: [H, W, 3] rounded or clipped as the protocol says, uint8 or floating in [0, 1].
      truth: uint8 [H, W, 3].
      lr: uint8 [h, w, 3].
      scale: HR pixels per LR pixel.
      protocol: gives the border, the channel and the LR kernel.
    """

    output: np.ndarray
    truth: np.ndarray
    lr: np.ndarray
    scale: Scale
    protocol: Protocol

    @cached_property
    def rgb(self) -> tuple[np.ndarray, np.ndarray]:
        """Output and truth [h, w, 3] without the protocol's border."""
        border = self.protocol.border(self.scale)
        return shave(self.output, border), shave(self.truth, border)

    @cached_property
    def luma(self) -> tuple[np.ndarray, np.ndarray]:
        """Luma of output and truth, float64 [h, w], without the protocol's border."""
        output, truth = self.rgb
        return luma(output), luma(truth)

    @property
    def channel(self) -> tuple[np.ndarray, np.ndarray]:
        """The protocol's channel of output and truth: `luma` or `rgb`."""
        return self.luma if self.protocol.channel == "y" else self.rgb


@dataclass(frozen=True)
class Metric:
    """One way to score an image.

    Attributes:
      score: the function.
      unit: what its numbers are, for the JSON file.
      title: of its table; the metric's name and unit where it is empty.
      digits: decimals in tables.
      higher_is_better: tables stress the best method of each scale; None stresses none.
    """

    score: Callable[[EvaluatedImage], float]
    unit: str
    title: str = ""
    digits: int = 4
    higher_is_better: bool | None = True

    def text(self, value: float) -> str:
        """A score as tables show it."""
        return "∞" if math.isinf(value) else f"{value:.{self.digits}f}"


_DB = "dB, with the protocol's border and rounding; null is infinite"

METRICS: dict[str, Metric] = {
    "psnr_y": Metric(lambda image: psnr(*image.luma), _DB, digits=2),
    "psnr_rgb": Metric(lambda image: psnr(*image.rgb), _DB, digits=2),
    "ssim": Metric(lambda image: ssim(*image.channel), "Wang 2004, on the protocol's channel"),
    "lr_psnr": Metric(
        lambda image: lr_consistency(image.output, image.lr, image.protocol.lr_kernel),
        "dB over RGB of the output downscaled again, against its LR image; null is infinite",
        "LR-consistency PSNR in dB: the output downscaled again, against the LR image (RGB)",
        digits=2,
        higher_is_better=None,  # above some 50 dB, more is no better
    ),
}
"""Every metric by the name it has in JSON, in the order of its keys."""
