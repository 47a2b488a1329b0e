import math

import jax
import jax.numpy as jnp
import numpy as np

from inr_sr import models
from inr_sr.models.fourier import annulus, attenuation, gain
from tests.networks import random_model


def test_frequencies_start_in_their_band():
    b = annulus(0.5, 1.0)(jax.random.key(0), (500, 2))
    length = np.linalg.norm(b, axis=1)
    assert 0.5 <= length.min() < 0.51
    assert 0.99 < length.max() < 1.0
    assert np.all(np.asarray(b)[:, 0] >= 0)  # half a turn, since b and -b are the same waves
    # Uniform in area: half of the annulus lies below this radius.
    assert abs(np.mean(length < np.sqrt(0.625)) - 0.5) < 0.07


def test_attenuation_halves_at_nyquist_and_fades_per_axis():
    model, _ = random_model()
    params = models.init(model, jax.random.key(0))
    kappa = jnp.exp(params["decoder"]["log_kappa"])
    b = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    a = attenuation(b, kappa, jnp.array([0.5, 0.25]))
    np.testing.assert_allclose(a, [0.5, 0.5**0.25, 1.0], atol=1e-6)


def test_gains_are_those_of_the_footprint_along_each_wave():
    b = jnp.array([[1.5, 0.0], [0.0, 0.7], [0.3, -0.3], [0.0, 0.0]])
    coefficients = jax.random.normal(jax.random.key(0), (4, 3))
    uneven = gain(b, coefficients, jnp.array([0.5, 0.25]), 0.25)
    for wave, along in enumerate([0.5, 0.25, math.hypot(0.5, 0.25) / math.sqrt(2)]):
        even = gain(b, coefficients, jnp.array([along, along]), 0.25)
        np.testing.assert_allclose(uneven[wave], even[wave], atol=1e-5)
    # The ends of the range, where T_n is (-1)^n and 1; held beyond.
    square = jnp.array([0.25, 1.0, 0.1, 3.0])
    ends = gain(b, coefficients, jnp.stack([square, square], axis=1), 0.25)
    expected = 1 + coefficients @ jnp.array([[-1.0, 1, -1], [1, 1, 1]]).T
    np.testing.assert_allclose(ends[:2], expected.T, atol=1e-5)
    np.testing.assert_allclose(ends[2:], ends[:2], atol=1e-5)
    gradient = jax.grad(lambda b: gain(b, coefficients, jnp.array([0.5, 0.25]), 0.25).sum())(b)
    assert np.isfinite(gradient).all()


def test_without_scales_or_order_there_is_no_gain():
    footprint = jnp.array([[0.5, 0.25], [1.0, 1.0]])
    for coefficients, smallest in ((jnp.ones((1, 3)), 1.0), (jnp.ones((1, 0)), 0.25)):
        np.testing.assert_array_equal(gain(jnp.ones((1, 2)), coefficients, footprint, smallest), 1)
