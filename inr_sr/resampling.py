"""Antialiased resampling: bicubic, Lanczos, box and nearest, as MATLAB, PIL and JAX do it.

Output pixel i of an axis is centred at (i + 0.5) / s of the input axis, whose pixel j is centred
at j + 0.5. Shrinking stretches the kernel by 1/s, so that it averages over the footprint of an
output pixel; weights are normalised to sum to one. What programs differ in, besides, is what lies
beyond the border and when 8-bit values are rounded: both are named options here.

`resize` and `resample` run on the device, the first with static and the second with traced
geometry; `resize_uint8` runs on the host and gives the bytes MATLAB or PIL would give.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.coordinates import mirrored
from inr_sr.errors import InputError

METHODS = ("bicubic", "lanczos", "box", "nearest")
BORDERS = ("mirror", "replicate", "renormalise")
MODES = ("matlab", "pil")

# Taps summed in one fused loop. Without a limit compile time grows with the factor of shrinking,
# and past about 16 taps the run time does too.
_FUSED_TAPS = 16

# Fraction bits of PIL's 8-bit coefficients.
_PIL_BITS = 22


CUBIC_REACH = 2
"""How far the cubic kernel reaches, in input pixels where it is not stretched."""


def cubic(x: Any, xp: Any = np) -> Any:
    """Cubic convolution kernel with a = -0.5 (Keys, IEEE TASSP 29, 1981), zero from CUBIC_REACH on.

    Args:
      x: distances in pixels, an array of the module `xp` (numpy or jax.numpy).
      xp: the array module to compute with.
    """
    x = xp.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return xp.where(x < 1.0, near, xp.where(x < 2.0, far, xp.zeros_like(x)))


def lanczos3(x: Any, xp: Any = np) -> Any:
    """Lanczos kernel sinc(x) sinc(x / 3), zero from |x| = 3; arguments as in `cubic`."""
    return xp.where(xp.abs(x) < 3.0, xp.sinc(x) * xp.sinc(x / 3.0), xp.zeros_like(x))


def box(x: Any, xp: Any = np) -> Any:
    """One on [-0.5, 0.5), else zero; arguments as in `cubic`.

    The weights are box(centre - pixel), so a centre on the edge of two pixels takes the later one.
    """
    return xp.where((x >= -0.5) & (x < 0.5), xp.ones_like(x), xp.zeros_like(x))


class _Kernel(NamedTuple):
    function: Callable[..., Any]
    width: float  # of its support, in input pixels
    antialias: bool  # whether shrinking stretches it


_KERNELS = {
    "bicubic": _Kernel(cubic, 2.0 * CUBIC_REACH, True),
    "lanczos": _Kernel(lanczos3, 6.0, True),
    "box": _Kernel(box, 1.0, True),
    "nearest": _Kernel(box, 1.0, False),
}


def resize(
    image: Any,
    size: Sequence[int],
    method: str = "bicubic",
    *,
    antialias: bool = True,
    border: str = "mirror",
    scale: Sequence[float] | None = None,
) -> jax.Array:
    """Resizes pictures on the device, as MATLAB's imresize does with floating-point pictures.

    Indices and weights are made on the host in double precision, so every argument but `image`
    must be static under `jax.jit`.

    Args:
      image: floating [..., h, w, c].
      size: output (rows, cols).
      method: one of `METHODS`.
      antialias: stretch the kernel when shrinking; "nearest" never does.
      border: "mirror" repeats pixels backwards from the border (MATLAB today), "replicate"
        repeats the last pixel (MATLAB formerly), "renormalise" drops taps outside the picture
        (PIL, `jax.image.resize`).
      scale: output over input of each axis where it is not the ratio of the sizes, as in
        imresize(A, scale) with its size ceil(scale * n); not with "renormalise".

    Returns:
      [..., rows, cols, c], float32 (float64 for float64 under x64), not clipped: bicubic and
      Lanczos overshoot.

    Raises:
      InputError: unknown method or border, a size or scale that is not positive, fewer than
        three axes, an empty picture or a picture that is not floating.
    """
    image = _floating(image)
    size, ratios = _geometry(image.shape, size, method, border, scale)
    for axis in _smaller_scale_first(ratios):
        index, weight = taps(
            image.shape[axis - 3],
            size[axis],
            method,
            antialias=antialias,
            border=border,
            scale=None if scale is None else ratios[axis],
        )
        image = _apply(image, jnp.asarray(index), jnp.asarray(weight, image.dtype), axis - 3)
    return image


def resize_uint8(
    image: Any,
    size: Sequence[int],
    method: str = "bicubic",
    *,
    mode: str = "matlab",
    border: str = "mirror",
    scale: Sequence[float] | None = None,
) -> np.ndarray:
    """Resizes one 8-bit picture on the host, to the values MATLAB's imresize or PIL gives.

    Both round to 8 bits after each pass. MATLAB computes in double precision and begins with the
    axis of the smaller scale (rows if equal); PIL computes with 22-bit fixed-point weights in an
    order of its own, and is met bit for bit. That order is Pillow 13's; before it was always
    columns first, which is the same unless the height shrinks by over twice as many pixels as
    the width.

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
      InputError: as `resize`; also an unknown mode, a picture that is not uint8 [h, w, c], or a
        scale in mode "pil".
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3:
        raise InputError(
            f"picture is {image.dtype} with {image.ndim} axes; expected uint8 [h, w, c]"
        )
    if mode not in MODES:
        raise InputError(f"unknown mode {mode!r}; expected one of {', '.join(MODES)}")
    if mode == "pil" and scale is not None:
        raise InputError(f"scale {scale} has no meaning in mode 'pil'; expected None")
    size, ratios = _geometry(image.shape, size, method, border, scale)
    if mode == "pil":
        for axis in _pil_order(image.shape, size):
            index, weight = _pil_taps(image.shape[axis], size[axis], method)
            total = _apply_host(image, index, weight, axis) + (1 << (_PIL_BITS - 1))
            image = np.clip(total >> _PIL_BITS, 0, 255).astype(np.uint8)
        return image
    for axis in _smaller_scale_first(ratios):
        ratio = None if scale is None else ratios[axis]
        index, weight = taps(image.shape[axis], size[axis], method, border=border, scale=ratio)
        total = _apply_host(image, index, weight, axis)
        image = np.clip(np.floor(total + 0.5), 0.0, 255.0).astype(np.uint8)
    return image


def resample(
    image: Any,
    size: Sequence[int],
    origin: Any,
    step: Any,
    *,
    max_step: float,
    method: str = "bicubic",
) -> jax.Array:
    """Resamples a window of pictures at a traced place and step; borders are mirrored.

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
    image = _floating(image)
    size, _ = _geometry(image.shape, size, method, "mirror", None)
    _check_window(step, max_step)
    origin = jnp.broadcast_to(jnp.asarray(origin, image.dtype), (2,))
    step = jnp.broadcast_to(jnp.asarray(step, image.dtype), (2,))
    for axis in (0, 1):
        index, weight = _window_taps(
            image.shape[axis - 3], size[axis], origin[axis], step[axis], float(max_step), method
        )
        image = _apply(image, index, weight, axis - 3)
    return image


def taps(
    n_in: int,
    n_out: int,
    method: str = "bicubic",
    *,
    antialias: bool = True,
    border: str = "mirror",
    scale: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What `resize` sums along one axis; arguments as there, `scale` of this axis.

    Returns:
      Input indices int32 [n_out, t] in [0, n_in), and their weights float64 [n_out, t]; each
      row of weights sums to one.
    """
    kernel = _KERNELS[method]
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


@functools.partial(jax.jit, static_argnames=("n_in", "n_out", "max_step", "method"))
def _window_taps(
    n_in: int, n_out: int, origin: jax.Array, step: jax.Array, max_step: float, method: str
) -> tuple[jax.Array, jax.Array]:
    """`taps` of one axis of `resample`: traced place and step, static number of taps.

    Compiled, as `_apply` is, so that calls outside jit do not trace and compile every time.
    """
    kernel = _KERNELS[method]
    max_stretch = max(max_step, 1.0) if kernel.antialias else 1.0
    stretch = jnp.clip(step, 1.0, max_stretch)
    count = math.ceil(kernel.width * max_stretch) + 1
    centre = origin + (jnp.arange(n_out, dtype=step.dtype) + 0.5) * step
    first = jnp.floor(centre - 0.5 - kernel.width / 2.0 * stretch).astype(jnp.int32)
    index = first[:, None] + jnp.arange(count, dtype=jnp.int32)[None, :]
    distance = centre[:, None] - (index.astype(step.dtype) + 0.5)
    weight = kernel.function(distance / stretch, jnp)
    return mirrored(index, n_in, jnp), weight / weight.sum(axis=1, keepdims=True)


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
    kernel = _KERNELS[method]
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


@functools.partial(jax.jit, static_argnames="axis")
def _apply(image: jax.Array, index: jax.Array, weight: jax.Array, axis: int) -> jax.Array:
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
    return jax.lax.fori_loop(0, count, add_tap, start, unroll=min(count, _FUSED_TAPS))


def _apply_host(image: np.ndarray, index: np.ndarray, weight: np.ndarray, axis: int) -> np.ndarray:
    """`_apply` in numpy for [h, w, c], in the dtype of the weights."""
    along = (-1, 1, 1) if axis == 0 else (1, -1, 1)
    shape = list(image.shape)
    shape[axis] = index.shape[0]
    total = np.zeros(shape, weight.dtype)
    for t in range(index.shape[1]):
        total += weight[:, t].reshape(along) * np.take(image, index[:, t], axis=axis)
    return total


def _smaller_scale_first(ratios: Sequence[float]) -> list[int]:
    return sorted((0, 1), key=lambda axis: ratios[axis])


def _floating(image: Any) -> jax.Array:
    """The picture as float32, or float64 if it is that already."""
    image = jnp.asarray(image)
    if not jnp.issubdtype(image.dtype, jnp.floating):
        raise InputError(f"picture is {image.dtype}; expected floating values in [0, 1]")
    return image if image.dtype == jnp.float64 else image.astype(jnp.float32)


def _geometry(
    shape: Sequence[int],
    size: Sequence[int],
    method: str,
    border: str,
    scale: Sequence[float] | None,
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Checks a request; returns its (rows, cols) and scale, output over input, of each axis."""
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
    if border == "renormalise":  # a window beyond the picture would have no taps at all
        raise InputError("scale needs the border 'mirror' or 'replicate', not 'renormalise'")
    try:
        by_row, by_col = (float(s) for s in scale)
    except (TypeError, ValueError):
        raise InputError(f"scale {scale!r}; expected two numbers (row, col)") from None
    if not (0.0 < by_row < math.inf and 0.0 < by_col < math.inf):
        raise InputError(f"scale {by_row} x {by_col}; expected positive finite numbers")
    return (rows, cols), (by_row, by_col)


def _check_window(step: Any, max_step: float) -> None:
    """Checks what of the window's step is known at trace time."""
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
