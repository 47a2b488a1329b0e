import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr.errors import InputError
from inr_sr.training import losses


def pair(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(seed).random((2, 3, 16, 3)).astype(np.float32))


def test_terms_are_their_formulas():
    prediction, target = pair()
    error = prediction - target
    squares = [x.reshape(3, 4, 4, 3) for x in (prediction, target)]
    magnitudes = [np.abs(np.fft.rfft2(x, axes=(1, 2))) / 4 for x in squares]
    expected = {
        "l1": np.abs(error).mean(),
        "charbonnier": np.sqrt(error**2 + 1e-6).mean(),
        "mse": (error**2).mean(),
        "fourier": np.abs(magnitudes[0] - magnitudes[1]).mean(),
    }
    assert set(expected) == set(losses.TERMS)
    weights = {"l1": 0.5, "charbonnier": 2.0, "mse": 3.0, "fourier": 0.1}
    total, values = losses.terms(weights, jnp.asarray(prediction), jnp.asarray(target))
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-5)
    np.testing.assert_allclose(total, sum(weights[n] * expected[n] for n in weights), rtol=1e-5)


def test_the_fourier_term_sees_no_shift():
    prediction, _ = pair()
    shifted = np.roll(prediction.reshape(3, 4, 4, 3), (1, 2), axis=(1, 2)).reshape(3, 16, 3)
    assert losses.fourier(jnp.asarray(prediction), jnp.asarray(shifted)) < 1e-6


@pytest.mark.parametrize("name", losses.TERMS)
def test_gradients_are_finite_without_an_error(name):
    for target in (pair()[1], np.zeros((3, 16, 3), np.float32)):
        gradient = jax.grad(losses.TERMS[name])(jnp.asarray(target), jnp.asarray(target))
        assert np.isfinite(gradient).all()


def test_mistakes():
    assert losses.check({"l1": 1, "mse": 0.0}, "points") == {"l1": 1.0}
    assert losses.check({"fourier": 0.1}, "window") == {"fourier": 0.1}
    with pytest.raises(InputError, match="at least one of them above 0"):
        losses.check({"l1": 0.0}, "points")
    with pytest.raises(InputError, match="must be finite and >= 0"):
        losses.check({"l1": 1.0, "mse": -1.0}, "points")
    with pytest.raises(InputError, match=r"needs data\.layout = 'window'"):
        losses.check({"fourier": 0.1}, "points")
