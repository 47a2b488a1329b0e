"""The class Loss, and the losses that are formulas.

Prediction and target are [B, Q, 3] in [0, 1], the prediction not clipped. Losses of squares read
them as images of sqrt(Q) pixels a side, row by row (data.layout = square).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from inr_sr.data.samples import Sampling, squares
from inr_sr.errors import InputError

CHARBONNIER_EPSILON = 1e-3
MIN_SIDE = 4  # pixels, at the coarsest scale
GRADIENT_SCALES = 3  # full, half and quarter resolution
LAPLACIAN_LEVELS = 4  # of a pyramid: three differences and the rest

Term = Callable[[jax.Array, jax.Array], jax.Array]
"""(prediction, target), [B, Q, 3] each, to a scalar."""


@dataclass(frozen=True)
class Loss:
    """A term of the reconstruction loss.

    Attributes:
      function: of (prediction, target), [B, Q, 3] each.
      min_side: minimum side of squares, pixels; None: a loss of points, which need no layout.
      weight: its default weight.
    """

    function: Term
    min_side: int | None = None
    weight: float = 0.0

    def default_config(self) -> ConfigDict | None:
        """Its section of the configuration; None without fields of its own."""
        return None

    def check(self, name: str, config: ConfigDict, spec: Sampling) -> None:
        """Raises InputError where it cannot use the configuration or samples; opens no file."""
        if self.min_side is None:
            return
        if spec.layout != "square":
            raise InputError(
                f"loss.{name} needs data.layout = 'square', not {spec.layout!r}: it compares whole "
                "squares"
            )
        if spec.queries < self.min_side**2:
            raise InputError(
                f"loss.{name} needs data.queries of at least {self.min_side**2}, "
                f"{self.min_side} pixels a side, not {spec.queries}"
            )

    def load(self, config: ConfigDict) -> Term | None:
        """A pytree with weights from a file, called instead of `function`; None without weights."""
        return None


def l1(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean |error| over [B, Q, 3]."""
    return jnp.mean(jnp.abs(prediction - target))


def charbonnier(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean sqrt(error^2 + epsilon^2), a smooth L1 (arXiv 1710.01992)."""
    return jnp.mean(jnp.sqrt(jnp.square(prediction - target) + CHARBONNIER_EPSILON**2))


def mse(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Mean squared error over [B, Q, 3]."""
    return jnp.mean(jnp.square(prediction - target))


def fourier(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """L1 of the Fourier magnitudes of squares, orthonormal transform.

    [B, Q, 3] are squares of sqrt(Q) pixels a side, row by row (data.layout = square).
    """

    def magnitude(x: jax.Array) -> jax.Array:
        spectrum = jnp.fft.rfft2(squares(x), axes=(1, 2), norm="ortho")
        # |0| has no gradient; epsilon keeps the square root's finite.
        return jnp.sqrt(jnp.square(spectrum.real) + jnp.square(spectrum.imag) + 1e-12)

    return jnp.mean(jnp.abs(magnitude(prediction) - magnitude(target)))


def gradient(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """L1 of the differences of neighbouring pixels, mean over up to GRADIENT_SCALES scales.

    [B, Q, 3] are squares as in `fourier`. Each scale halves the one before by means of 2 x 2
    pixels, without an odd last row or column, down to MIN_SIDE.
    """
    error, found = squares(prediction - target), []
    while True:
        steps = (jnp.diff(error, axis=1), jnp.diff(error, axis=2))
        found.append(sum((jnp.mean(jnp.abs(step)) / 2 for step in steps), jnp.zeros(())))
        half = error.shape[1] // 2
        if len(found) == GRADIENT_SCALES or half < MIN_SIDE:
            return jnp.mean(jnp.stack(found))
        even = error[:, : 2 * half, : 2 * half].reshape(-1, half, 2, half, 2, 3)
        error = jnp.mean(even, axis=(2, 4))


def laplacian(prediction: jax.Array, target: jax.Array) -> jax.Array:
    """Sum of the L1 of the levels of a Laplacian pyramid (arXiv 1707.05776, equation 2).

    [B, Q, 3] are squares as in `fourier`. A level is an image minus its blurred, halved and again
    enlarged copy (Burt and Adelson 1983); the halved copy makes the next level, and is itself the
    last. There are LAPLACIAN_LEVELS, or as many as MIN_SIDE allows. Means in place of the paper's
    sums contain its factor 4^level.
    """
    along_axes = functools.partial(
        jnp.einsum, "ij,kl,bjlc->bikc", precision=jax.lax.Precision.HIGHEST
    )  # along rows and columns; a GPU's default would round to ten bits
    rest, total = squares(prediction - target), jnp.zeros(())
    for _ in range(LAPLACIAN_LEVELS - 1):
        side = rest.shape[1]
        if (side + 1) // 2 < MIN_SIDE:
            break
        blur = _blur(side)
        fewer, more = jnp.asarray(blur[::2]), jnp.asarray(2 * blur[:, ::2])
        coarse = along_axes(fewer, fewer, rest)
        total = total + jnp.mean(jnp.abs(rest - along_axes(more, more, coarse)))
        rest = coarse
    return total + jnp.mean(jnp.abs(rest))


def _blur(side: int) -> np.ndarray:
    """float32 [side, side]: 1 4 6 4 1 over 16, mirrored at the border pixels' centres."""
    matrix = np.zeros((side, side), np.float32)
    for offset, weight in zip(range(-2, 3), (1, 4, 6, 4, 1)):
        reflected = np.abs(np.arange(side) + offset)
        reflected = side - 1 - np.abs(side - 1 - reflected)
        np.add.at(matrix, (np.arange(side), reflected), weight / 16)
    return matrix
