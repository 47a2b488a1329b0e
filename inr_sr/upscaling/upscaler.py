"""Upscalers: by resampling, and by a network."""

import numbers
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from numpy.typing import ArrayLike

from inr_sr import render, resampling
from inr_sr.errors import InputError
from inr_sr.imagefile import ImageData
from inr_sr.models import Model, Params
from inr_sr.resampling.streaming import resize_in_strips
from inr_sr.sizes import MAX_OUTPUT_PIXELS, Size, target_size
from inr_sr.upscaling import warping
from inr_sr.upscaling.encoded import EncodedImage, encode_tile
from inr_sr.upscaling.images import AnyImage, enlarge, in_form_of, warp_image, with_rows
from inr_sr.upscaling.plan import Planner
from inr_sr.values import to_channels
from inr_sr.weights import DEFAULT, load_model


class Upscaler(Protocol):
    """Whatever enlarges an image.

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
        """The enlarged image in strips of consecutive rows.

        Args:
          image: [h, w, c], c = 1 or 3, floating in [0, 1], uint8 or uint16.
          out_size: (rows, cols).

        Yields:
          float32 [some rows, cols, c or 3], clipped to [0, 1]; the caller may overwrite it.

        Raises:
          InputError: an image or size that is not allowed; at once, not at the first strip.
          MemoryError: not even the smallest tile fits.
        """

    def upscale(
        self,
        image: AnyImage,
        out_size: Size | None = None,
        *,
        scale: float | str | Sequence[float] | None = None,
        width: int | None = None,
        height: int | None = None,
        max_pixels: int | None = MAX_OUTPUT_PIXELS,
    ) -> AnyImage:
        """Enlarges one image and returns it in the form in which it was given.

        Args:
          image: an array [h, w] or [h, w, c]: floating in [0, 1] with c = 1 or 3, or uint8 or
            uint16 with c = 1 .. 4 (an even c includes alpha); or a PIL image, whose EXIF
            orientation is applied.
          out_size, scale, width, height, max_pixels: see `target_size`.

        Returns:
          An array with as many axes and channels and of the same type (floating becomes float32,
          clipped to [0, 1]), or a PIL image.

        Raises:
          InputError: an image or request that is not allowed.
          MemoryError: not even the smallest tile fits.
        """
        request: dict[str, Any] = {
            "size": out_size,
            "scale": scale,
            "width": width,
            "height": height,
            "max_pixels": max_pixels,
        }

        def of_image(image: ImageData) -> ImageData:
            return enlarge(self, image, target_size(image.size, **request))

        def of_floats(array: np.ndarray) -> np.ndarray:
            size: Size = target_size(array.shape, **request)
            channels = array.shape[2]
            out = np.empty((*size, channels), np.float32)
            for rows, strip in with_rows(self.strips(array, size)):
                out[rows] = to_channels(strip, channels)
            return out

        return in_form_of(image, of_image, of_floats)


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


class NetworkUpscaler(StripUpscaler):
    """A network on tiles.

    Attributes:
      name: what tables call it.
      parameters: its parameter count.
      planner: sizes of its tiles.
    """

    def __init__(
        self,
        model: Model,
        params: Params,
        name: str,
        *,
        tile: int | str = "auto",
        ensemble: bool = False,
    ) -> None:
        """Puts the parameters on all local devices, over which tiles are spread.

        Args:
          model: see `models.build`.
          params: its parameters.
          name: what tables call it.
          tile: "auto", or the longest side a tile may have, in LR pixels, or 0 for one tile per
            image, which compiles for every size.
          ensemble: mean over the 8 flips and rotations, in 8 times the time.

        Raises:
          InputError: a tile that is neither "auto" nor an integer >= 0.
        """
        host = jax.tree.map(np.asarray, params)
        self.name = name
        self.planner = Planner.of(model, host, name, tile, ensemble)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(host))
        devices = jax.local_devices()
        self._replicas = [(device, jax.device_put(host, device)) for device in devices]

    @property
    def programs(self) -> int:
        """Programs compiled so far in this process, without those of warps and points.

        Grows with the first image of a shape.
        """
        return int(encode_tile._cache_size()) + render.programs()  # type: ignore[attr-defined]

    def check_size(self, shape: Size, size: Size) -> None:
        """See `StripUpscaler.check_size`."""
        self.planner.check_size(shape, size)

    def encode(self, image: np.ndarray, *, cache_bytes: int | None = None) -> EncodedImage:
        """Encodes an image once, for many windows, sizes and points; tiles on first use.

        Args:
          image: [h, w, c], c = 1 or 3, floating in [0, 1], uint8 or uint16. It is not copied, and
            must not change while the result is in use.
          cache_bytes: limit of the memory for encoded tiles; None: a quarter of the accelerator's
            memory, or 512 MiB on a CPU; 0: none are cached.

        Raises:
          InputError: an image that is not allowed.
        """
        return EncodedImage(self.planner, self._replicas, image, cache_bytes)

    def strips(self, image: np.ndarray, out_size: Size) -> Iterator[np.ndarray]:
        """See `StripUpscaler.strips`."""
        return self.encode(image, cache_bytes=0).strips(out_size)

    def window(self, image: np.ndarray, out_size: Size, rows: slice, cols: slice) -> np.ndarray:
        """Part of an enlarged image; for several parts of one image use `encode`.

        Args:
          image: see `encode`.
          out_size, rows, cols: see `EncodedImage.window`.

        Returns:
          float32 [rows, cols, 3], clipped to [0, 1]; equal to the same part of the whole.

        Raises:
          InputError: an image or size that is not allowed, or a window that is not within it.
          MemoryError: not even the smallest tile fits.
        """
        return self.encode(image, cache_bytes=0).window(out_size, rows, cols)

    def warp(
        self,
        image: AnyImage,
        matrix: ArrayLike,
        out_size: Size,
        *,
        fill: float = 0.0,
        max_pixels: int | None = MAX_OUTPUT_PIXELS,
    ) -> AnyImage:
        """Warps an image by a projective map (rotation, shear, tilt), enlarging where it magnifies.

        Where the map minifies the result is antialiased, see `warping.anisotropic`. Alpha is
        interpolated, and 0 outside the image. The image's border is sharp: a result pixel whose
        centre is outside gets `fill`.

        Args:
          image: see `upscale`.
          matrix: [3, 3], or [2, 3] if affine, from positions (row, col) of the image to those of
            the result, in pixels, pixel i covering [i, i + 1); see `warping.homography`.
          out_size: (rows, cols) of the result.
          fill: colour outside the image and beyond the horizon, in [0, 1].
          max_pixels: see `target_size`.

        Returns:
          The result in the form of `image`, see `upscale`.

        Raises:
          InputError: an image, map, size or colour that is not allowed, a network that knows one
            scale only or sees whole images, or an ensemble.
          MemoryError: not even the smallest tile fits.
        """
        self.planner.check_points()
        if not (isinstance(fill, numbers.Real) and 0 <= fill <= 1):
            raise InputError(f"fill {fill!r} is not allowed; expected a number from 0 to 1")
        size = target_size((1, 1), size=out_size, max_pixels=max_pixels)

        def homography(layer: np.ndarray) -> warping.Homography:
            return warping.Homography.between(matrix, (layer.shape[0], layer.shape[1]), size)

        def colours(layer: np.ndarray) -> Iterator[warping.Part]:
            encoded = self.encode(layer, cache_bytes=0)
            return warping.by_network(encoded, homography(layer), size)

        def alpha(layer: np.ndarray) -> Iterator[warping.Part]:
            return warping.by_interpolation(layer, homography(layer), size)

        return warp_image(image, size, colours, alpha, float(fill))


def load(
    name_or_path: str | os.PathLike[str] = DEFAULT,
    *,
    tile: int | str = "auto",
    ensemble: bool = False,
) -> NetworkUpscaler:
    """An upscaler with weights of the package by name, or of a file.

    Args:
      name_or_path: see `weights.find`.
      tile, ensemble: see `NetworkUpscaler`.

    Raises:
      InputError: no such weights, damaged ones, or ones that do not fit their configuration.
    """
    model, weights = load_model(name_or_path)
    return NetworkUpscaler(model, weights.params, weights.name, tile=tile, ensemble=ensemble)


def warp(
    image: AnyImage,
    matrix: ArrayLike,
    out_size: Size,
    *,
    fill: float = 0.0,
    max_pixels: int | None = MAX_OUTPUT_PIXELS,
    weights: str | os.PathLike[str] = DEFAULT,
) -> AnyImage:
    """`NetworkUpscaler.warp` of the weights, which are loaded each time: see `load`."""
    return load(weights).warp(image, matrix, out_size, fill=fill, max_pixels=max_pixels)
