"""Frequency matrices: their initialisation, and how an output pixel attenuates each wave."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

HALF_AT_NYQUIST = math.log(2) / math.pi**2
"""The kappa at which attenuation halves at the output's Nyquist frequency, b * cell = 0.5.

exp(-kappa (2 pi)^2 / 4) = 1/2.
"""
INITIALISATIONS = ("annulus", "gaussian", "geometric", "inverse_sigma", "power")
MAX_ALPHA = 4  # of "power": beyond, nearly all of a band would lie at its lower end
MIN_BAND_SHARE = 1 / 8  # of its highest frequency: where the first band begins if it cannot at 0
OCTAVES = 7  # of position features; they distinguish 2^7 positions in a row

# init(key, (K, 2), dtype) -> frequency matrix in cycles per LR pixel, (row, col)
Initialiser = Callable[..., jax.Array]


def annulus(inner: float, outer: float) -> Initialiser:
    """Frequencies uniform in the plane between inner <= |b| < outer."""
    return power(inner, outer, 0.0)


def power(inner: float, outer: float, alpha: float) -> Initialiser:
    """Frequencies of density |b|^-alpha in the plane, inner <= |b| < outer.

    alpha 0 is uniform; 1 is the amplitude spectrum of photographs (Field 1987); at 2, which needs
    inner > 0, log |b| is uniform: the geometric choice. b and -b span the same functions, so angles
    cover a half turn, stratified so that no direction is missing.
    """

    def init(key: jax.Array, shape: tuple[int, int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        k_radius, k_angle, k_shift = jax.random.split(key, 3)
        count = shape[0]
        u = jax.random.uniform(k_radius, (count,), dtype)
        # Inverse of the cumulative distribution: a power, and at alpha = 2 an exponential.
        rise = 2 - alpha
        if abs(rise) < 1e-3:  # nearer to 0 the powers lose the radius in float32
            radius = inner * (outer / inner) ** u
        else:
            radius = (inner**rise + u * (outer**rise - inner**rise)) ** (1 / rise)
        strata = jnp.arange(count, dtype=dtype) + jax.random.uniform(k_shift, (count,), dtype)
        angle = jnp.pi / count * jax.random.permutation(k_angle, strata)
        return jnp.stack([radius * jnp.sin(angle), radius * jnp.cos(angle)], axis=-1)

    return init


def gaussian(sigma: float) -> Initialiser:
    """Normal frequencies of standard deviation sigma per axis (arXiv 2006.10739)."""
    return jax.nn.initializers.normal(sigma)


def inverse_sigma(sigma: float, lr_size: int) -> Initialiser:
    """Normal frequencies of standard deviation 1 / sigma cycles per *image* of lr_size pixels.

    A large sigma makes frequencies vanish: it is the inverse of the sigma of arXiv 2006.10739. Kept
    to reproduce what follows from this mistake.
    """
    return gaussian(1 / (sigma * lr_size))


def band_initialisers(
    name: str, bands: tuple[float, ...], *, alpha: float, lr_size: int
) -> list[Initialiser]:
    """An initialiser for each band, from low to high frequencies.

    Args:
      name: one of INITIALISATIONS.
      bands: highest frequency of each band, cycles per LR pixel, rising; for "gaussian" standard
        deviations, rising; for "inverse_sigma" sigmas, falling.
      alpha: exponent of "power", 0 to MAX_ALPHA.
      lr_size: side of an LR image, pixels, for "inverse_sigma".
    """
    if name == "gaussian":
        return [gaussian(sigma) for sigma in bands]
    if name == "inverse_sigma":
        return [inverse_sigma(sigma, lr_size) for sigma in bands]
    exponent = {"annulus": 0.0, "geometric": 2.0, "power": alpha}[name]
    # From 0 on, a steep density would put nearly all frequencies at 0.
    lowest = MIN_BAND_SHARE * bands[0] if exponent > 1 else 0.0
    return [power(lo, hi, exponent) for lo, hi in zip((lowest, *bands[:-1]), bands, strict=True)]


def position_features(position: jax.Array, spacing: int) -> jax.Array:
    """Cosines and sines of lattice positions along each axis, at periods that double.

    Args:
      position: [..., 2] in LR pixels.
      spacing: LR pixels between lattice positions; the shortest period is twice that.

    Returns:
      [..., 4 * OCTAVES].
    """
    frequency = 0.5 ** jnp.arange(1, OCTAVES + 1, dtype=position.dtype) / spacing
    phase = 2 * jnp.pi * position[..., None] * frequency.reshape((1,) * position.ndim + (-1,))
    waves = jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1)
    return waves.reshape(*position.shape[:-1], -1)


def clamped(footprint: jax.Array, smallest: float) -> jax.Array:
    """Footprints that are at least `smallest` wide in every direction.

    Args:
      footprint: [..., 2, 2] J J^T, see `coordinates.upright_footprint`; its eigenvalues are the
        squares of J's singular values.
      smallest: minimum of the singular values of J, LR pixels.

    Returns:
      [..., 2, 2] with the same eigenvectors.
    """
    rows, cols, mixed = footprint[..., 0, 0], footprint[..., 1, 1], footprint[..., 0, 1]
    mean, half = (rows + cols) / 2, (rows - cols) / 2
    radius = jnp.hypot(half, mixed)
    low, high = (jnp.maximum(mean + sign * radius, smallest**2) for sign in (-1, 1))
    # The eigenvalues are mean +- radius; clamping moves the mean and shrinks the radius.
    shrink = jnp.where(radius > 0, (high - low) / (2 * jnp.where(radius > 0, radius, 1)), 1)
    mean, half, mixed = (low + high) / 2, half * shrink, mixed * shrink
    return jnp.stack([mean + half, mixed, mixed, mean - half], axis=-1).reshape(footprint.shape)


def extents(frequencies: jax.Array, footprint: jax.Array) -> jax.Array:
    """|J^T b_k|^2: the squared extent of an output pixel in the phase of wave k, turns^2.

    Args:
      frequencies: [K, 2] in cycles per LR pixel.
      footprint: [..., 2, 2] J J^T.

    Returns:
      [..., K].
    """
    row, col = _under(frequencies[:, 0], footprint), _under(frequencies[:, 1], footprint)
    rows, cols, mixed = (footprint[..., i, j, None] for i, j in ((0, 0), (1, 1), (0, 1)))
    return rows * row**2 + cols * col**2 + 2 * mixed * row * col


def attenuation(frequencies: jax.Array, kappa: jax.Array, footprint: jax.Array) -> jax.Array:
    """exp(-kappa (2 pi)^2 |J^T b|^2): the heat kernel over a pixel (arXiv 2311.17643).

    Args:
      frequencies: [K, 2] in cycles per LR pixel.
      kappa: scalar >= 0.
      footprint: [..., 2, 2] J J^T of an output pixel.

    Returns:
      [..., K] in (0, 1].
    """
    return jnp.exp(-kappa * (2 * jnp.pi) ** 2 * extents(frequencies, footprint))


def chebyshev(order: int, u: jax.Array) -> jax.Array:
    """T_1(u) .. T_order(u), [..., order], by T_n = 2 u T_{n-1} - T_{n-2}; u in [-1, 1]."""
    terms = [jnp.ones_like(u), u]
    for _ in range(order - 1):
        terms.append(2 * u * terms[-1] - terms[-2])
    return jnp.stack(terms[1 : order + 1], axis=-1)


def gain(
    frequencies: jax.Array, coefficients: jax.Array, footprint: jax.Array, smallest: float
) -> jax.Array:
    """1 + sum_{n >= 1} g_kn T_n(u_k): a learned gain of each wave, by scale.

    The heat kernel does not describe how cameras and bicubic blur, nor how much of a wave can be
    inferred from an LR image of a given scale; the gain learns that. u_k is the log of the extent
    along the wave, |J^T b_k| / |b_k| (the mean over directions for b_k = 0), mapped to -1 at
    `smallest` and 1 at an LR pixel, and clipped there. It is one number per wave, so that unequal
    scales of the axes use what equal scales taught. T_0 is absent: the wave's coefficients hold it.

    Args:
      frequencies: [K, 2] in cycles per LR pixel.
      coefficients: g, [K, order].
      footprint: [..., 2, 2] J J^T of an output pixel.
      smallest: side of the smallest trained output pixel, LR pixels, in (0, 1]; at 1 only one
        scale was trained, and the gain is 1.

    Returns:
      [..., K], of any size and sign.
    """
    if smallest >= 1 or coefficients.shape[-1] == 0:
        return jnp.ones((*footprint.shape[:-2], frequencies.shape[0]), footprint.dtype)
    # A tiny part of every direction: b = 0 has no direction of its own.
    tiny = 1e-12
    length = jnp.sum(jnp.square(frequencies), axis=1)
    everywhere = tiny * (footprint[..., 0, 0, None] + footprint[..., 1, 1, None])
    along = (extents(frequencies, footprint) + everywhere) / _under(length + 2 * tiny, footprint)
    u = jnp.clip(1 - jnp.log(along) / math.log(smallest), -1, 1)
    terms = chebyshev(coefficients.shape[-1], u)
    return 1 + jnp.sum(terms * _under(coefficients, footprint), axis=-1)


def _under(x: jax.Array, footprint: jax.Array) -> jax.Array:
    """Adds leading axes of size 1 to x, [K] or [K, n], for those of a footprint [..., 2, 2]."""
    return x.reshape((1,) * (footprint.ndim - 2) + x.shape)
