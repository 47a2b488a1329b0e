"""Values of pixels: what is allowed, to float and colour and back."""

import math

import numpy as np

from inr_sr.errors import InputError


def check_picture(image: np.ndarray) -> None:
    """Raises InputError unless `image` is [h, w, c], floating in about [0, 1], uint8 or uint16."""
    if image.ndim != 3 or 0 in image.shape:
        raise InputError(f"picture of shape {image.shape}; expected [h, w, c] with pixels in it")
    if image.dtype in (np.uint8, np.uint16):
        return
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(f"picture of {image.dtype}; expected floating, uint8 or uint16")
    low, high = float(image.min()), float(image.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError("the picture holds numbers that are not finite")
    if low < -0.5 or high > 1.5:  # leaves room for the overshoot of an earlier resampling
        raise InputError(f"floating pictures are in [0, 1]; this one is in [{low:g}, {high:g}]")


def as_float(pixels: np.ndarray) -> np.ndarray:
    """float32, integers scaled to [0, 1]."""
    out = pixels.astype(np.float32)
    if pixels.dtype in (np.uint8, np.uint16):
        out /= np.float32(np.iinfo(pixels.dtype).max)
    return out


def in_colour(pixels: np.ndarray) -> np.ndarray:
    """Grey [rows, cols, 1] as the three equal colours that networks take; colours as they are."""
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def to_channels(strip: np.ndarray, count: int) -> np.ndarray:
    """Back from that: grey is the mean of the three, which a network may make unequal."""
    return strip if strip.shape[2] == count else strip.mean(axis=2, keepdims=True)


def quantise(strip: np.ndarray, out: np.ndarray) -> None:
    """Writes values of [0, 1] to integers, rounded half up; `strip` is overwritten."""
    strip *= np.float32(np.iinfo(out.dtype).max)
    strip += np.float32(0.5)
    out[...] = strip  # truncates
