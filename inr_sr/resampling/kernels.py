"""Kernels, and the taps that they give: which input pixels an output pixel sums, and how much."""

import math
import operator
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np

from inr_sr.coordinates import SameArray, mirrored
from inr_sr.errors import InputError
from inr_sr.sizes import Size

BORDERS = ("mirror", "replicate", "renormalise")

CUBIC_REACH = 2
"""How far the cubic kernel reaches, in input pixels where it is not stretched."""


def cubic(x: SameArray, xp: ModuleType = np) -> SameArray:
    """Cubic convolution kernel with a = -0.5 (Keys, IEEE TASSP 29, 1981), zero from CUBIC_REACH on.

    Args:
      x: distances in pixels, an array of the module `xp`.
      xp: numpy or jax.numpy.
    """
    x = xp.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    value: SameArray = xp.where(x < 1.0, near, xp.where(x < 2.0, far, xp.zeros_like(x)))
    return value


def lanczos3(x: SameArray, xp: ModuleType = np) -> SameArray:
    """Lanczos kernel sinc(x) sinc(x / 3), zero from |x| = 3; arguments as in `cubic`."""
    lobes = xp.sinc(x) * xp.sinc(x / 3.0)
    value: SameArray = xp.where(xp.abs(x) < 3.0, lobes, xp.zeros_like(x))
    return value


def box(x: SameArray, xp: ModuleType = np) -> SameArray:
    """One on [-0.5, 0.5), else zero; arguments as in `cubic`.

    The weights are box(centre - pixel), so a centre on the edge of two pixels takes the later one.
    """
    value: SameArray = xp.where((x >= -0.5) & (x < 0.5), xp.ones_like(x), xp.zeros_like(x))
    return value


class KernelFunction(Protocol):
    """A kernel's value at distances in pixels; arguments as in `cubic`."""

    def __call__(self, x: SameArray, xp: ModuleType = ...) -> SameArray: ...


class Kernel(NamedTuple):
    """A kernel's function, its width in input pixels, and whether shrinking stretches it."""

    function: KernelFunction
    width: float
    antialias: bool


KERNELS = {
    "bicubic": Kernel(cubic, 2.0 * CUBIC_REACH, True),
    "lanczos": Kernel(lanczos3, 6.0, True),
    "box": Kernel(box, 1.0, True),
    "nearest": Kernel(box, 1.0, False),
}
"""By method."""

METHODS = tuple(KERNELS)


def taps(
    n_in: int,
    n_out: int,
    method: str = "bicubic",
    *,
    antialias: bool = True,
    border: str = "mirror",
    scale: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The weighted sums that make up one axis of `resize`.

    Args:
      n_in, n_out: pixels of the axis before and after.
      method, antialias, border: as in `resize`.
      scale: output over input where it is not n_out / n_in.

    Returns:
      Input indices int32 [n_out, t] in [0, n_in), and their weights float64 [n_out, t]; each
      row of weights sums to one.
    """
    kernel = KERNELS[method]
    # One output pixel is a / b input pixels. Without a scale these are whole numbers, and the
    # kernel's argument is rounded once: ties of box and nearest fall as in exact arithmetic.
    a, b = (n_in, n_out) if scale is None else (1.0, float(scale))
    stretched = antialias and kernel.antialias and a > b
    unit = 2 * a if stretched else 2 * b
    width = kernel.width * (a / b if stretched else 1.0)
    centre = (2 * np.arange(n_out) + 1) * a
    first = np.floor(centre / (2 * b) - 0.5 - width / 2.0).astype(np.int64)
    index = first[:, None] + np.arange(math.ceil(width) + 2)
    weight = kernel.function((centre[:, None] - (2 * index + 1) * b) / unit)
    if border == "mirror":
        index = mirrored(index, n_in)
    elif border == "renormalise":
        weight = np.where((index >= 0) & (index < n_in), weight, 0.0)
    index = np.clip(index, 0, n_in - 1)
    weight = weight / weight.sum(axis=1, keepdims=True)
    used = np.any(weight != 0.0, axis=0)
    return index[:, used].astype(np.int32), weight[:, used]


def smaller_scale_first(ratios: Sequence[float]) -> list[int]:
    """The two axes in MATLAB's order; rows first if equal."""
    return sorted((0, 1), key=lambda axis: ratios[axis])


def geometry(
    shape: Sequence[int],
    size: Sequence[int],
    method: str,
    border: str,
    scale: Sequence[float] | None,
) -> tuple[Size, tuple[float, float]]:
    """Checks the arguments of `resize`, for an image of `shape` [..., h, w, c].

    Returns:
      The output size (rows, cols), and output over input of each axis.

    Raises:
      InputError: see `resize`.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}; expected one of {', '.join(METHODS)}")
    if border not in BORDERS:
        raise InputError(f"unknown border {border!r}; expected one of {', '.join(BORDERS)}")
    if len(shape) < 3 or min(shape[-3:-1]) < 1:
        raise InputError(f"image of shape {tuple(shape)}; expected [..., h, w, c], h and w >= 1")
    try:
        rows, cols = (operator.index(n) for n in size)
    except (TypeError, ValueError):
        raise InputError(f"size {size!r}; expected two integers (rows, cols)") from None
    if rows < 1 or cols < 1:
        raise InputError(f"size {rows} x {cols}; expected at least 1 x 1")
    if scale is None:
        return (rows, cols), (rows / shape[-3], cols / shape[-2])
    if border == "renormalise":  # a window beyond the image would have no taps at all
        raise InputError("scale needs the border 'mirror' or 'replicate', not 'renormalise'")
    try:
        by_row, by_col = (float(s) for s in scale)
    except (TypeError, ValueError):
        raise InputError(f"scale {scale!r}; expected two numbers (row, col)") from None
    if not (0.0 < by_row < math.inf and 0.0 < by_col < math.inf):
        raise InputError(f"scale {by_row} x {by_col}; expected positive finite numbers")
    return (rows, cols), (by_row, by_col)
