import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr import models
from inr_sr.coordinates import upright_footprint
from inr_sr.models.fourier import (
    annulus,
    attenuation,
    band_initialisers,
    clamped,
    gain,
    position_features,
)
from tests.networks import random_model


def test_frequencies_start_in_their_band():
    b = annulus(0.5, 1.0)(jax.random.key(0), (500, 2))
    length = np.linalg.norm(b, axis=1)
    assert 0.5 <= length.min() < 0.51
    assert 0.99 < length.max() < 1.0
    assert np.all(np.asarray(b)[:, 0] >= 0)  # half a turn, since b and -b are the same waves
    # Uniform in area: half of the annulus lies below this radius.
    assert abs(np.mean(length < np.sqrt(0.625)) - 0.5) < 0.07


# Medians of |b| in a band from 0.5 to 1, and in the lowest, which ends at 0.5.
MEDIANS = {
    ("annulus", 1.0): (math.sqrt((0.25 + 1) / 2), 0.5 / math.sqrt(2)),
    ("power", 1.0): (0.75, 0.25),
    ("power", 1.5): (((math.sqrt(0.5) + 1) / 2) ** 2, ((0.25 + math.sqrt(0.5)) / 2) ** 2),
    ("power", 1.9999): (math.sqrt(0.5), math.sqrt(0.5 / 16)),
    ("geometric", 1.0): (math.sqrt(0.5), math.sqrt(0.5 / 16)),
    # Of a normal pair of standard deviation 1 the median length is sqrt(2 ln 2).
    ("gaussian", 1.0): (math.sqrt(2 * math.log(2)), 0.5 * math.sqrt(2 * math.log(2))),
}


@pytest.mark.parametrize(("name", "alpha"), MEDIANS)
def test_each_initialisation_has_its_distribution(name, alpha):
    low, high = band_initialisers(name, (0.5, 1.0), alpha=alpha, lr_size=32)
    for init, median in zip((high, low), MEDIANS[name, alpha], strict=True):
        length = np.linalg.norm(init(jax.random.key(0), (40_000, 2)), axis=1)
        assert np.median(length) == pytest.approx(median, rel=0.02)


def test_inverse_sigmas_are_of_the_image():
    bands = band_initialisers("inverse_sigma", (128.0, 32.0), alpha=1.0, lr_size=16)
    for init, sigma in zip(bands, (128, 32), strict=True):
        b = np.asarray(init(jax.random.key(0), (20_000, 2)))
        assert b.std() == pytest.approx(1 / (sigma * 16), rel=0.02)


def test_position_features_have_periods_that_double():
    """The shortest period is two places, the longest 2^7; rows first, cosines before sines."""
    position = np.array([[2.0, 6.0], [10.0, 130.0]], np.float32)
    phase = 2 * np.pi * position[..., None] / (4.0 * 2.0 ** np.arange(1, 8))
    expected = np.concatenate([np.cos(phase), np.sin(phase)], axis=-1).reshape(2, -1)
    np.testing.assert_allclose(position_features(jnp.asarray(position), 4), expected, atol=1e-5)


def test_attenuation_halves_at_nyquist_and_fades_per_axis():
    model, _ = random_model()
    params = models.init(model, jax.random.key(0))
    kappa = jnp.exp(params["decoder"]["log_kappa"])
    b = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    a = attenuation(b, kappa, upright_footprint(jnp.array([0.5, 0.25])))
    np.testing.assert_allclose(a, [0.5, 0.5**0.25, 1.0], atol=1e-6)


@pytest.mark.slow
def test_gains_are_those_of_the_footprint_along_each_wave():
    b = jnp.array([[1.5, 0.0], [0.0, 0.7], [0.3, -0.3], [0.0, 0.0]])
    coefficients = jax.random.normal(jax.random.key(0), (4, 3))
    uneven = gain(b, coefficients, upright_footprint(jnp.array([0.5, 0.25])), 0.25)
    for wave, along in enumerate([0.5, 0.25, math.hypot(0.5, 0.25) / math.sqrt(2)]):
        even = gain(b, coefficients, upright_footprint(jnp.array([along, along])), 0.25)
        np.testing.assert_allclose(uneven[wave], even[wave], atol=1e-5)
    # The ends of the range, where T_n is (-1)^n and 1; held beyond.
    square = jnp.array([0.25, 1.0, 0.1, 3.0])
    ends = gain(b, coefficients, upright_footprint(jnp.stack([square, square], axis=1)), 0.25)
    expected = 1 + coefficients @ jnp.array([[-1.0, 1, -1], [1, 1, 1]]).T
    np.testing.assert_allclose(ends[:2], expected.T, atol=1e-5)
    np.testing.assert_allclose(ends[2:], ends[:2], atol=1e-5)
    gradient = jax.grad(
        lambda b: gain(b, coefficients, upright_footprint(jnp.array([0.5, 0.25])), 0.25).sum()
    )(b)
    assert np.isfinite(gradient).all()


def test_without_scales_or_order_there_is_no_gain():
    footprint = upright_footprint(jnp.array([[0.5, 0.25], [1.0, 1.0]]))
    for coefficients, smallest in ((jnp.ones((1, 3)), 1.0), (jnp.ones((1, 0)), 0.25)):
        np.testing.assert_array_equal(gain(jnp.ones((1, 2)), coefficients, footprint, smallest), 1)


def test_rotated_pixels_attenuate_rotated_waves_alike():
    """What a pixel does to a wave depends on how they lie to each other alone."""
    rng = np.random.default_rng(0)
    b, coefficients = rng.normal(size=(5, 2)), jnp.asarray(rng.normal(size=(5, 3)), jnp.float32)
    jacobian = rng.normal(size=(2, 2)) / 3
    for angle in (0.3, 2.0):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        answers = []
        for waves, j in ((b, jacobian), (b @ turn.T, turn @ jacobian)):
            footprint = clamped(jnp.asarray(j @ j.T, jnp.float32), 0.25)
            waves = jnp.asarray(waves, jnp.float32)
            a = attenuation(waves, jnp.float32(0.1), footprint)
            answers.append(a * gain(waves, coefficients, footprint, 0.25))
        np.testing.assert_allclose(answers[0], answers[1], rtol=2e-5)


def test_footprints_are_clamped_in_each_direction():
    rng = np.random.default_rng(0)
    for j in (*rng.normal(size=(20, 2, 2)) / 3, np.zeros((2, 2)), np.eye(2) / 9, np.eye(2)):
        u, s, _ = np.linalg.svd(j)
        expected = u @ np.diag(np.maximum(s, 0.25) ** 2) @ u.T
        found = clamped(jnp.asarray(j @ j.T, jnp.float32), 0.25)
        np.testing.assert_allclose(found, expected, atol=2e-6)
