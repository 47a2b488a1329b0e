"""Pixel values: 8 and 16 bit to float and back, grey and colour, and what an image may hold.

NumPy only. A pixel value is uint8, uint16, or floating with black at 0 and white at 1.
"""

import math

import numpy as np

from inr_sr.errors import InputError

MIN_VALUE, MAX_VALUE = -0.5, 1.5  # leaves room for the overshoot of an earlier resampling


def check_image(image: np.ndarray) -> None:
    """Checks the shape and the values of an image that is to be upscaled.

    Raises:
      InputError: unless `image` is [h, w, c], not empty, and uint8, uint16, or floating, finite
        and in about [0, 1].
    """
    if image.ndim != 3 or 0 in image.shape:
        raise InputError(f"image of shape {image.shape}; expected [h, w, c] with pixels in it")
    if image.dtype in (np.uint8, np.uint16):
        return
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"image of {image.dtype}; expected floating, uint8 or uint16")
    low, high = float(image.min()), float(image.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError("the image holds values that are not finite")
    if low < MIN_VALUE or high > MAX_VALUE:
        raise InputError(f"floating images are in [0, 1]; this one is in [{low:g}, {high:g}]")


def to_float32(image: np.ndarray) -> np.ndarray:
    """A copy in float32; uint8 and uint16 are divided by 255 and 65,535."""
    out = image.astype(np.float32)
    if image.dtype in (np.uint8, np.uint16):
        out /= np.float32(np.iinfo(image.dtype).max)
    return out


def to_float64(image: np.ndarray) -> np.ndarray:
    """A copy in float64, for metrics; uint8 and uint16 are divided by 255 and 65,535."""
    image = np.asarray(image)
    if np.issubdtype(image.dtype, np.integer):
        return image.astype(np.float64) / np.iinfo(image.dtype).max
    return image.astype(np.float64)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """`image` in 8 bits, rounded half up.

    Floating values are clipped to [0, 1] first. uint16 goes through a table, which needs no
    temporary of the image's size. uint8 is returned as it is, not copied.
    """
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:
        found: np.ndarray = ((np.arange(65_536) + 128) // 257).astype(np.uint8)[image]
        return found
    rounded: np.ndarray = np.floor(np.clip(to_float64(image), 0.0, 1.0) * 255.0 + 0.5)
    return rounded.astype(np.uint8)


def quantise_into(values: np.ndarray, out: np.ndarray) -> None:
    """Fills `out`, of integers, from float32 values in [0, 1], rounded half up.

    No temporary is made: `values` is overwritten. Nothing is clipped.
    """
    values *= np.float32(np.iinfo(out.dtype).max)
    values += np.float32(0.5)
    out[...] = values  # truncates


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Grey [rows, cols, 1] repeated into the three channels that networks take; RGB as it is."""
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)


def to_channels(image: np.ndarray, count: int) -> np.ndarray:
    """RGB [rows, cols, 3] with `count` channels again: 3 as it is, 1 by the mean.

    A network need not return three equal channels for a grey image.
    """
    return image if image.shape[2] == count else image.mean(axis=2, keepdims=True)
