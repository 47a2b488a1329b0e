import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from inr_sr.config import default
from inr_sr.data.samples import Sampling
from inr_sr.errors import InputError
from inr_sr.training import losses
from inr_sr.training.losses import LOSSES, formulas
from tests.test_samples import SPEC

SIDE = 18  # halved to 9, which leaves one row out, and 4


def pair(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(seed).random((2, 3, SIDE**2, 3)).astype(np.float32))


def samples(layout: str = "square", queries: int = SIDE**2) -> Sampling:
    return dataclasses.replace(SPEC, patch=32, queries=queries, layout=layout)


def squares(x: np.ndarray) -> np.ndarray:
    return x.reshape(3, SIDE, SIDE, 3)


def steps_at_scales(x: np.ndarray) -> float:
    """`gradient` of an error, from its definition."""
    found = []
    for side in (18, 9, 4):
        if side < len(x[0]):
            x = x[:, : 2 * side, : 2 * side]
            x = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
        down, across = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
        found.append((np.abs(down).mean() + np.abs(across).mean()) / 2)
    return float(np.mean(found))


def blurred(x: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        pads = [(2, 2) if i == axis else (0, 0) for i in range(4)]
        padded, size = np.pad(x, pads, mode="reflect"), x.shape[axis]
        parts = [np.take(padded, range(k, k + size), axis) for k in range(5)]
        x = sum(w * part for w, part in zip((1, 4, 6, 4, 1), parts)) / 16
    return x


def pyramid(x: np.ndarray) -> float:
    """`laplacian` of an error, with zeros between the pixels that are kept."""
    total = 0.0
    for side in (9, 5):
        coarse = blurred(x)[:, ::2, ::2]
        assert coarse.shape[1] == side
        spread = np.zeros_like(x)
        spread[:, ::2, ::2] = 4 * coarse
        total += float(np.abs(x - blurred(spread)).mean())
        x = coarse
    return total + float(np.abs(x).mean())


def test_terms_are_their_formulas():
    prediction, target = pair()
    error = prediction - target
    images = [squares(x) for x in (prediction, target)]
    magnitudes = [np.abs(np.fft.rfft2(x, axes=(1, 2))) / SIDE for x in images]
    expected = {
        "l1": np.abs(error).mean(),
        "charbonnier": np.sqrt(error**2 + 1e-6).mean(),
        "mse": (error**2).mean(),
        "fourier": np.abs(magnitudes[0] - magnitudes[1]).mean(),
        "gradient": steps_at_scales(squares(error)),
        "laplacian": pyramid(squares(error)),
    }
    assert set(expected) == set(LOSSES) - {"perceptual"}
    weights = dict(zip(expected, (0.5, 2.0, 3.0, 0.1, 0.7, 0.3), strict=True))
    total, values = losses.terms(weights, jnp.asarray(prediction), jnp.asarray(target), {})
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-5)
    np.testing.assert_allclose(total, sum(weights[n] * expected[n] for n in weights), rtol=1e-5)


def test_what_terms_do_not_see():
    """A constant is no step and in no band, only in what is left of the pyramid."""
    target = jnp.asarray(pair()[1])
    assert formulas.gradient(target + 0.25, target) < 1e-6
    np.testing.assert_allclose(formulas.laplacian(target + 0.25, target), 0.25, atol=1e-5)
    for side in (5, 33):
        flat = jnp.zeros((1, side**2, 3))
        np.testing.assert_allclose(formulas.laplacian(flat + 0.5, flat), 0.5, atol=1e-6)
        ramp = jnp.tile(jnp.arange(side, dtype=jnp.float32)[None, :, None], (side, 1, 3))
        # Steps of 1, 2 and 4 pixels in one of two directions, as far as the side allows.
        scales = {5: [1], 33: [1, 2, 4]}[side]
        found = formulas.gradient(ramp.reshape(1, -1, 3), flat)
        np.testing.assert_allclose(found, np.mean(scales) / 2, rtol=1e-5)


def test_the_fourier_term_sees_no_shift():
    prediction, _ = pair()
    shifted = np.roll(squares(prediction), (1, 2), axis=(1, 2)).reshape(prediction.shape)
    assert formulas.fourier(jnp.asarray(prediction), jnp.asarray(shifted)) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(LOSSES.keys() - {"perceptual"}))
def test_gradients_are_finite_without_an_error(name):
    for target in (pair()[1], np.zeros((3, SIDE**2, 3), np.float32)):
        gradient = jax.grad(LOSSES[name].function)(jnp.asarray(target), jnp.asarray(target))
        assert np.isfinite(gradient).all()


def check(weights, spec):
    config = ConfigDict({"loss": weights})
    return losses.check(config, spec)


def test_mistakes():
    assert losses.check(default(), samples("points")) == {"l1": 1.0}
    assert check({"l1": 1, "mse": 0.0}, samples("points")) == {"l1": 1.0}
    with pytest.raises(InputError, match="at least one of them above 0"):
        check({"l1": 0.0}, samples())
    with pytest.raises(InputError, match="must be finite and >= 0"):
        check({"l1": 1.0, "mse": -1.0}, samples())
    with pytest.raises(InputError, match=r"unknown loss\.huber; there are: charbonnier, fourier, "):
        check({"huber": 1.0}, samples())
    for name in ("fourier", "gradient", "laplacian"):
        assert check({name: 0.1}, samples(queries=16)) == {name: 0.1}
        with pytest.raises(InputError, match=rf"loss\.{name} needs data\.layout = 'square'"):
            check({name: 0.1}, samples("points"))
    for name in ("gradient", "laplacian"):
        with pytest.raises(InputError, match="of at least 16, 4 pixels a side, not 9"):
            check({name: 0.1}, samples(queries=9))
