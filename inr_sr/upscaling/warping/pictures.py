"""Warped pictures: alpha, depth, arrays in their many shapes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.imagefile import Picture, from_pil, to_pil
from inr_sr.request import Size
from inr_sr.upscaling.enlarging import from_array, hidden_filled, to_array, to_channels
from inr_sr.upscaling.values import quantise
from inr_sr.upscaling.warping.blocks import Part

Layer = Callable[[np.ndarray], Iterator[Part]]


def warped(image: Any, out_size: Size, colours: Layer, alpha: Layer, fill: float) -> Any:
    """A warped picture in the form in which it was given.

    Args:
      image: see `NetworkUpscaler.warp`.
      out_size: (rows, cols).
      colours, alpha: make the parts that lie in the picture from [h, w, c].
      fill: colour of the others; their alpha is 0.
    """
    if isinstance(image, Image.Image):
        return to_pil(_picture(from_pil(image), out_size, colours, alpha, fill))
    array = np.asarray(image)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(f"picture of shape {array.shape}; expected [h, w] or [h, w, c]")
    if array.dtype in (np.uint8, np.uint16):
        return to_array(_picture(from_array(array), out_size, colours, alpha, fill), array.ndim)
    flat = array[:, :, None] if array.ndim == 2 else array
    out = _assembled(flat, np.dtype(np.float32), out_size, colours, fill)
    return out[:, :, 0] if array.ndim == 2 else out


def _picture(picture: Picture, size: Size, colours: Layer, alpha: Layer, fill: float) -> Picture:
    dtype = picture.pixels.dtype
    pixels = _assembled(hidden_filled(picture), dtype, size, colours, fill)
    if picture.alpha is None:
        return replace(picture, pixels=pixels)
    opacity = _assembled(picture.alpha[:, :, None], dtype, size, alpha, 0.0)
    return replace(picture, pixels=pixels, alpha=opacity[:, :, 0])


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
    quantise(values, out)
    return out
