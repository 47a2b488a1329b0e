"""Resampling on the device, in one XLA program: `resize` (static geometry), `resample` (traced)."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from inr_sr.coordinates import mirrored
from inr_sr.errors import InputError
from inr_sr.resampling.kernels import KERNELS, geometry, smaller_scale_first, taps

# Taps summed in one fused loop. Without a limit compile time grows with the factor of shrinking,
# and past about 16 taps the run time does too.
_FUSED_TAPS = 16


def resize(
    image: ArrayLike,
    size: Sequence[int],
    method: str = "bicubic",
    *,
    antialias: bool = True,
    border: str = "mirror",
    scale: Sequence[float] | None = None,
) -> jax.Array:
    """Resizes images on the device, as MATLAB's imresize does with floating-point images.

    Indices and weights are made on the host in double precision, so every argument but `image`
    must be static under `jax.jit`.

    Args:
      image: floating [..., h, w, c].
      size: output (rows, cols).
      method: one of `METHODS`.
      antialias: stretch the kernel when shrinking; "nearest" never does.
      border: "mirror" repeats pixels backwards from the border (MATLAB today), "replicate"
        repeats the last pixel (MATLAB formerly), "renormalise" drops taps outside the image
        (PIL, `jax.image.resize`).
      scale: output over input of each axis where it is not the ratio of the sizes, as in
        imresize(A, scale) with its size ceil(scale * n); not with "renormalise".

    Returns:
      [..., rows, cols, c], float32 (float64 for float64 under x64), not clipped: bicubic and
      Lanczos overshoot.

    Raises:
      InputError: unknown method or border, a size or scale that is not positive, fewer than
        three axes, an empty image or one that is not floating.
    """
    x = _floating(image)
    size, ratios = geometry(x.shape, size, method, border, scale)
    for axis in smaller_scale_first(ratios):
        index, weight = taps(
            x.shape[axis - 3],
            size[axis],
            method,
            antialias=antialias,
            border=border,
            scale=None if scale is None else ratios[axis],
        )
        x = _weighted_sum(x, jnp.asarray(index), jnp.asarray(weight, x.dtype), axis - 3)
    return x


def resample(
    image: ArrayLike,
    size: Sequence[int],
    origin: ArrayLike | Sequence[float],
    step: ArrayLike | Sequence[float],
    *,
    max_step: float,
    method: str = "bicubic",
) -> jax.Array:
    """Resamples a window of images at a place and step that may be traced; borders are mirrored.

    Output pixel i of an axis is centred at the input coordinate origin + (i + 0.5) * step, where
    input pixel j is centred at j + 0.5. With origin 0 and step n_in / n_out this is `resize`.
    Use `jax.vmap` for a place and step per sample. Coordinates are computed in the dtype of the
    result, so in float32 an origin of thousands of pixels costs accuracy: cut the region first.

    Args:
      image: floating [..., h, w, c].
      size: static output (rows, cols).
      origin: (row, col) of the window's corner in input pixels, or one number for both.
      step: input pixels per output pixel, of (row, col) or one number for both. Above 1 it
        stretches the kernel against aliasing ("nearest" excepted); up to 1 it interpolates.
      max_step: static bound of `step`, which fixes the number of taps. A larger step, which
        only a traced value can have, is antialiased as far as this.
      method: one of `METHODS`.

    Returns:
      [..., rows, cols, c], float32 (float64 for float64 under x64), not clipped.

    Raises:
      InputError: as `resize`; also a `max_step` that is not positive and finite, or a step
        known at trace time that is not in (0, max_step].
    """
    x = _floating(image)
    size, _ = geometry(x.shape, size, method, "mirror", None)
    _check_window(step, max_step)
    corner = jnp.broadcast_to(jnp.asarray(origin, x.dtype), (2,))
    pixel = jnp.broadcast_to(jnp.asarray(step, x.dtype), (2,))
    for axis in (0, 1):
        index, weight = _window_taps(
            x.shape[axis - 3], size[axis], corner[axis], pixel[axis], float(max_step), method
        )
        x = _weighted_sum(x, index, weight, axis - 3)
    return x


@functools.partial(jax.jit, static_argnames=("n_in", "n_out", "max_step", "method"))
def _window_taps(
    n_in: int, n_out: int, origin: jax.Array, step: jax.Array, max_step: float, method: str
) -> tuple[jax.Array, jax.Array]:
    """`taps` of one axis of `resample`: traced place and step, static number of taps.

    Compiled, as `_weighted_sum` is, so that calls outside jit do not trace and compile every time.
    """
    kernel = KERNELS[method]
    max_stretch = max(max_step, 1.0) if kernel.antialias else 1.0
    stretch = jnp.clip(step, 1.0, max_stretch)
    count = math.ceil(kernel.width * max_stretch) + 1
    centre = origin + (jnp.arange(n_out, dtype=step.dtype) + 0.5) * step
    first = jnp.floor(centre - 0.5 - kernel.width / 2.0 * stretch).astype(jnp.int32)
    index = first[:, None] + jnp.arange(count, dtype=jnp.int32)[None, :]
    distance = centre[:, None] - (index.astype(step.dtype) + 0.5)
    weight = kernel.function(distance / stretch, jnp)
    return mirrored(index, n_in, jnp), weight / weight.sum(axis=1, keepdims=True)


@functools.partial(jax.jit, static_argnames="axis")
def _weighted_sum(image: jax.Array, index: jax.Array, weight: jax.Array, axis: int) -> jax.Array:
    """Sum over taps t of weight[:, t] * image[index[:, t]] along `axis` (counted from the end)."""
    along = [1] * image.ndim
    along[axis] = index.shape[0]
    shape = list(image.shape)
    shape[axis] = index.shape[0]
    count = index.shape[1]

    def add_tap(t: jax.Array, total: jax.Array) -> jax.Array:
        pixels = jnp.take(image, index[:, t], axis=axis, mode="clip")
        return total + weight[:, t].reshape(along) * pixels

    start = jnp.zeros(shape, image.dtype)
    # Gathering beats a product with a dense matrix from 64 pixels a side on, up to ninefold.
    unroll = min(count, _FUSED_TAPS)
    total: jax.Array = jax.lax.fori_loop(0, count, add_tap, start, unroll=unroll)
    return total


def _floating(image: ArrayLike) -> jax.Array:
    """The image as float32, or float64 if it is that already."""
    x = jnp.asarray(image)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(f"image is {x.dtype}; expected floating values in [0, 1]")
    return x if x.dtype == jnp.float64 else x.astype(jnp.float32)


def _check_window(step: ArrayLike | Sequence[float], max_step: float) -> None:
    """Checks the step of `resample`: its value too, where it is not traced."""
    if not 0.0 < max_step < math.inf:
        raise InputError(f"max_step {max_step}; expected a positive finite number")
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(step)):
        return
    values = np.asarray(step, np.float64)
    if values.shape not in ((), (2,)):
        raise InputError(f"step of shape {values.shape}; expected one number or two (row, col)")
    # A float32 step may lie above the bound it was drawn from by its rounding.
    if not np.all((values > 0.0) & (values <= max_step * (1.0 + 1e-6))):
        raise InputError(f"step {step}; expected above 0 and at most max_step {max_step}")
