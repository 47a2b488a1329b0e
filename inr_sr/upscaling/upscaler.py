"""What all upscalers are, and the one that resamples."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from inr_sr import resampling
from inr_sr.errors import InputError
from inr_sr.imagefile import ImageData
from inr_sr.resampling.streaming import resize_in_strips
from inr_sr.sizes import MAX_OUTPUT_PIXELS, Size, target_size
from inr_sr.upscaling.enlarging import enlarge, placed
from inr_sr.upscaling.forms import in_its_form
from inr_sr.values import to_channels


class Upscaler(Protocol):
    """Whatever enlarges a picture.

    Attributes:
      name: what tables call it.
    """

    name: str

    def upscale(self, image: np.ndarray, out_size: Size) -> np.ndarray:
        """Enlarges float32 [h, w, 3] in [0, 1] to [rows, cols, 3], float32 clipped to [0, 1]."""
        ...


class StripUpscaler(ABC):
    """An upscaler that makes its output from top to bottom, so that it need not be held whole.

    Attributes:
      name: what tables call it.
      alpha: method of resampling for alpha channels.
    """

    name: str
    alpha: str = "bicubic"

    def check_size(self, shape: Size, size: Size) -> None:  # noqa: B027
        """Raises InputError where (rows, cols) cannot be enlarged to `size`."""

    @abstractmethod
    def strips(self, image: np.ndarray, out_size: Size) -> Iterator[np.ndarray]:
        """The enlarged picture in strips of consecutive rows.

        Args:
          image: [h, w, c], c = 1 or 3, floating in [0, 1], uint8 or uint16.
          out_size: (rows, cols).

        Yields:
          float32 [some rows, cols, c or 3], clipped to [0, 1]; the caller may overwrite it.

        Raises:
          InputError: a picture or size that is not allowed; at once, not at the first strip.
          MemoryError: not even the smallest tile fits.
        """

    def upscale(
        self,
        image: Any,
        out_size: Size | None = None,
        *,
        scale: float | str | Sequence[float] | None = None,
        width: int | None = None,
        height: int | None = None,
        max_pixels: int | None = MAX_OUTPUT_PIXELS,
    ) -> Any:
        """Enlarges one picture and returns it in the form in which it was given.

        Args:
          image: an array [h, w] or [h, w, c]: floating in [0, 1] with c = 1 or 3, or uint8 or
            uint16 with c = 1 .. 4 (an even c includes alpha); or a PIL image, whose EXIF
            orientation is applied.
          out_size, scale, width, height, max_pixels: see `target_size`.

        Returns:
          An array with as many axes and channels and of the same type (floating becomes float32,
          clipped to [0, 1]), or a PIL image.

        Raises:
          InputError: a picture or request that is not allowed.
          MemoryError: not even the smallest tile fits.
        """
        request: dict[str, Any] = {
            "size": out_size,
            "scale": scale,
            "width": width,
            "height": height,
            "max_pixels": max_pixels,
        }

        def of_picture(picture: ImageData) -> ImageData:
            return enlarge(self, picture, target_size(picture.size, **request))

        def of_floats(array: np.ndarray) -> np.ndarray:
            size, channels = target_size(array.shape, **request), array.shape[2]
            out = np.empty((*size, channels), np.float32)
            for rows, strip in placed(self.strips(array, size)):
                out[rows] = to_channels(strip, channels)
            return out

        return in_its_form(image, of_picture, of_floats)


class ResampleUpscaler(StripUpscaler):
    """Bicubic, Lanczos, box or nearest, of any number of channels; see `resampling.resize`."""

    def __init__(self, method: str) -> None:
        """`method` is one of `resampling.METHODS`; else InputError."""
        if method not in resampling.METHODS:
            raise InputError(
                f"unknown method {method!r}; expected one of {', '.join(resampling.METHODS)}"
            )
        self.name = self.alpha = method

    def strips(self, image: np.ndarray, out_size: Size) -> Iterator[np.ndarray]:
        """See `StripUpscaler.strips`."""
        return resize_in_strips(image, out_size, self.name)
