"""Whole warped pictures, alpha and depth."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from inr_sr.imagefile import ImageData
from inr_sr.sizes import Size
from inr_sr.upscaling.enlarging import hidden_filled
from inr_sr.upscaling.forms import in_its_form
from inr_sr.upscaling.warping.blocks import Part
from inr_sr.values import quantise_into, to_channels

Layer = Callable[[np.ndarray], Iterator[Part]]


def warped(image: Any, out_size: Size, colours: Layer, alpha: Layer, fill: float) -> Any:
    """A warped picture in the form in which it was given.

    Args:
      image: see `NetworkUpscaler.warp`.
      out_size: (rows, cols).
      colours, alpha: make the parts that lie in the picture from [h, w, c].
      fill: colour of the others; their alpha is 0.
    """

    def of_picture(picture: ImageData) -> ImageData:
        pixels = _assembled(hidden_filled(picture), picture.pixels.dtype, out_size, colours, fill)
        if picture.alpha is None:
            return replace(picture, pixels=pixels)
        opacity = _assembled(picture.alpha[:, :, None], pixels.dtype, out_size, alpha, 0.0)
        return replace(picture, pixels=pixels, alpha=opacity[:, :, 0])

    def of_floats(array: np.ndarray) -> np.ndarray:
        return _assembled(array, np.dtype(np.float32), out_size, colours, fill)

    return in_its_form(image, of_picture, of_floats)


def _assembled(
    image: np.ndarray, dtype: np.dtype, size: Size, layer: Layer, fill: float
) -> np.ndarray:
    """The parts of a layer on a ground of `fill`, [rows, cols, c]."""
    channels = image.shape[2]
    parts = layer(image)  # refuses what cannot be before memory is asked for
    out = np.empty((*size, channels), dtype)
    out[...] = _as(np.full((1, channels), fill, np.float32), dtype)
    for part in parts:
        values = to_channels(part.colours[None], channels)[0]
        out[part.rows, part.cols][part.mask] = _as(values, dtype)
    return out


def _as(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values of [0, 1] in the type of a picture; may overwrite them."""
    if np.issubdtype(dtype, np.floating):
        return values
    out = np.empty(values.shape, dtype)
    quantise_into(values, out)
    return out
