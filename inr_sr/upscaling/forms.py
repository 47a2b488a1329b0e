"""The forms in which pictures are given and returned: PIL images, integers, floating numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from inr_sr.errors import InputError
from inr_sr.imagefile import ImageData, from_pil, to_pil


def in_its_form(
    image: Any,
    of_picture: Callable[[ImageData], ImageData],
    of_floats: Callable[[np.ndarray], np.ndarray],
) -> Any:
    """What is made of a picture, in the form in which the picture was given.

    Args:
      image: see `StripUpscaler.upscale`.
      of_picture: makes it of a picture of 8 or 16 bits.
      of_floats: makes it of floating [h, w, c], as floating [rows, cols, c].

    Raises:
      InputError: no array of [h, w] or [h, w, c].
    """
    if isinstance(image, Image.Image):
        return to_pil(of_picture(from_pil(image)))
    array = np.asarray(image)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise InputError(f"picture of shape {array.shape}; expected [h, w] or [h, w, c]")
    if array.dtype in (np.uint8, np.uint16):
        return to_array(of_picture(from_array(array)), array.ndim)
    out = of_floats(array[:, :, None] if array.ndim == 2 else array)
    return out[:, :, 0] if array.ndim == 2 else out


def from_array(array: np.ndarray) -> ImageData:
    """uint8 or uint16 [h, w] or [h, w, c]; of 2 or 4 channels the last is alpha."""
    array = array[:, :, None] if array.ndim == 2 else array
    channels = array.shape[2]
    if channels > 4:
        raise InputError(f"picture of {channels} channels; expected 1 to 4")
    if channels in (1, 3):
        return ImageData(array)
    return ImageData(array[:, :, :-1], alpha=array[:, :, -1])


def to_array(picture: ImageData, ndim: int) -> np.ndarray:
    """Back to an array of so many axes."""
    if picture.alpha is not None:
        return np.concatenate([picture.pixels, picture.alpha[:, :, None]], axis=2)
    return picture.pixels[:, :, 0] if ndim == 2 else picture.pixels
