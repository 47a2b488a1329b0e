"""8-bit images resized on the host, to the bytes that MATLAB's imresize or PIL gives."""

from collections.abc import Sequence

import numpy as np

from inr_sr.errors import InputError
from inr_sr.resampling.kernels import KERNELS, geometry, smaller_scale_first, taps

MODES = ("matlab", "pil")

_PIL_BITS = 22  # fraction bits of PIL's 8-bit weights


def resize_uint8(
    image: np.ndarray,
    size: Sequence[int],
    method: str = "bicubic",
    *,
    mode: str = "matlab",
    border: str = "mirror",
    scale: Sequence[float] | None = None,
) -> np.ndarray:
    """Resizes one 8-bit image on the host, to the values MATLAB's imresize or PIL gives.

    Both round to 8 bits after each pass. MATLAB computes in double precision and begins with the
    axis of the smaller scale (rows if equal). PIL computes with 22-bit fixed-point weights in an
    order of its own; the result equals it bit for bit. That order is Pillow 13's; before it was
    always columns first, which is the same unless the height shrinks by over twice as many pixels
    as the width.

    Args:
      image: uint8 [h, w, c].
      size: output (rows, cols).
      method: one of `METHODS`.
      mode: "matlab" or "pil".
      border: as in `resize`, for MATLAB; PIL always renormalises.
      scale: as in `resize`, for MATLAB; PIL always uses the ratio of the sizes.

    Returns:
      uint8 [rows, cols, c].

    Raises:
      InputError: as `resize`; also an unknown mode, an image that is not uint8 [h, w, c], or a
        scale in mode "pil".
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3:
        raise InputError(f"image is {image.dtype} with {image.ndim} axes; expected uint8 [h, w, c]")
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}; expected one of {', '.join(MODES)}")
    if mode == "pil" and scale is not None:
        raise InputError(f"scale {scale} has no meaning in mode 'pil'; expected None")
    size, ratios = geometry(image.shape, size, method, border, scale)
    if mode == "pil":
        for axis in _pil_order(image.shape, size):
            index, weight = _pil_taps(image.shape[axis], size[axis], method)
            total = _weighted_sum(image, index, weight, axis) + (1 << (_PIL_BITS - 1))
            image = np.clip(total >> _PIL_BITS, 0, 255).astype(np.uint8)
        return image
    for axis in smaller_scale_first(ratios):
        ratio = None if scale is None else ratios[axis]
        index, weight = taps(image.shape[axis], size[axis], method, border=border, scale=ratio)
        total = _weighted_sum(image, index, weight, axis)
        image = np.clip(np.floor(total + 0.5), 0.0, 255.0).astype(np.uint8)
    return image


def _pil_order(shape: Sequence[int], size: Sequence[int]) -> tuple[int, int]:
    """The axes in the order of PIL's passes."""
    fewer_rows, fewer_cols = shape[0] - size[0], shape[1] - size[1]
    return (0, 1) if fewer_rows > max(0, 2 * fewer_cols) else (1, 0)


def _pil_taps(n_in: int, n_out: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices and int32 weights of one pass of PIL, in its order of operations.

    Another order moves a tie of box by rounding, or a weight by one unit.
    """
    ratio = n_in / n_out
    if method == "nearest":  # PIL steps along the axis, adding up the rounding of each step
        place = np.cumsum(np.concatenate([[0.5 * ratio], np.full(n_out - 1, ratio)]))
        index = np.minimum(place.astype(np.int32), n_in - 1)[:, None]
        return index, np.full((n_out, 1), 1 << _PIL_BITS, np.int32)
    kernel = KERNELS[method]
    stretch = max(ratio, 1.0)
    support = kernel.width / 2.0 * stretch
    centre = (np.arange(n_out) + 0.5) * ratio
    first = np.maximum(np.trunc(centre - support + 0.5), 0.0).astype(np.int64)
    stop = np.minimum(np.trunc(centre + support + 0.5), n_in).astype(np.int64)
    index = first[:, None] + np.arange((stop - first).max())
    weight = kernel.function((index - centre[:, None] + 0.5) * (-1.0 / stretch))
    weight = np.where(index < stop[:, None], weight, 0.0)
    weight = weight / weight.sum(axis=1, keepdims=True) * (1 << _PIL_BITS)
    weight = np.trunc(weight + np.copysign(0.5, weight)).astype(np.int32)
    return np.minimum(index, n_in - 1), weight


def _weighted_sum(
    image: np.ndarray, index: np.ndarray, weight: np.ndarray, axis: int
) -> np.ndarray:
    """Sum over taps t of weight[:, t] * image[index[:, t]] along `axis` of [h, w, c].

    Computed in the dtype of the weights.
    """
    along = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    shape = list(image.shape)
    shape[axis] = index.shape[0]
    total = np.zeros(shape, weight.dtype)
    for t in range(index.shape[1]):
        total += weight[:, t].reshape(along) * np.take(image, index[:, t], axis=axis)
    return total
