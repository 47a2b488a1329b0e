import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from inr_sr import models
from inr_sr.errors import InputError
from inr_sr.training.optimizer import make_optimizer, schedules
from tests.networks import small_config
from tests.tiny import tiny

labels = models.build(small_config()).labels


def parameters() -> dict:
    return {
        "encoder": {"head": {"kernel": jnp.full((3, 2), 2.0), "bias": jnp.full((2,), 2.0)}},
        "decoder": {"frequencies_0": jnp.full((4, 2), 2.0), "log_kappa": jnp.asarray(2.0)},
    }


def settings(**changes):
    named = {f"optimizer__{name}": value for name, value in {"warmup": 4, **changes}.items()}
    return tiny(**named).optimizer


def moved(gradient: float, steps: int = 1, **changes) -> dict:
    """How far each parameter went under a constant gradient, by its last name."""
    optimizer = make_optimizer(settings(**changes), 20, labels)

    @jax.jit
    def run(params: dict) -> dict:
        start, state = params, optimizer.init(params)
        gradients = jax.tree.map(lambda p: jnp.full(p.shape, gradient), params)
        with jax.numpy_dtype_promotion("standard"):
            for _ in range(steps):
                updates, state = optimizer.update(gradients, state, params)
                params = optax.apply_updates(params, updates)
        return jax.tree.map(jnp.subtract, params, start)

    found = jax.tree_util.tree_leaves_with_path(run(parameters()))
    for _, value in found:
        assert np.ptp(value) == 0
    return {path[-1].key: float(value.ravel()[0]) for path, value in found}


def test_frequencies_have_a_rate_and_a_schedule_of_their_own():
    # Adam's first step is its rate, whatever the gradient.
    rate = 1e-3 / 4  # of the first of 4 steps of warm-up
    for multiplier in (0.1, 3.0):
        first = moved(0.5, frequency_multiplier=multiplier)
        for name in ("kernel", "bias", "log_kappa"):
            np.testing.assert_allclose(first[name], -rate, rtol=1e-2)
        np.testing.assert_allclose(first["frequencies_0"], -rate * multiplier, rtol=1e-2)
    weights, frequencies = schedules(
        settings(frequency_schedule="constant", frequency_multiplier=0.5), 20
    )
    assert [float(weights(t)) for t in (0, 4)] == pytest.approx([2.5e-4, 1e-3])
    assert float(weights(20)) == pytest.approx(0, abs=1e-9)
    assert [float(frequencies(t)) for t in (0, 4, 12, 20)] == pytest.approx(
        [1.25e-4, 5e-4, 5e-4, 5e-4]
    )


def test_frequencies_may_warm_up_on_their_own():
    weights, frequencies = schedules(settings(frequency_warmup=8), 20)
    assert [float(weights(t)) for t in (0, 4)] == pytest.approx([2.5e-4, 1e-3])
    assert [float(frequencies(t)) for t in (0, 8)] == pytest.approx([1.25e-4, 1e-3])
    assert float(frequencies(4)) < 0.7e-3
    same, own = (schedules(settings(frequency_warmup=n), 20)[1] for n in (None, 4))
    assert [float(same(t)) for t in range(20)] == [float(own(t)) for t in range(20)]


def test_only_kernels_decay():
    gone = moved(0.0, weight_decay=0.1)
    np.testing.assert_allclose(gone.pop("kernel"), -2.0 * 0.1 * 1e-3 / 4, rtol=1e-2)
    assert set(gone.values()) == {0.0}


def test_a_multiplier_of_zero_freezes_the_frequencies():
    gone = moved(0.5, steps=3, frequency_multiplier=0.0, weight_decay=0.1)
    assert gone.pop("frequencies_0") == 0.0
    assert max(gone.values()) < 0


@pytest.mark.parametrize(
    ("decoder", "frequencies"),
    [("spectral", 3), ("modulated", 4), ("liif", 0), ("pixel_shuffle", 0)],
)
def test_every_parameter_belongs_to_a_part(decoder, frequencies):
    tokens = {"encoder": "lp_tokens"} if decoder == "modulated" else {}
    model = models.build(small_config(decoder, **tokens))
    params = jax.eval_shape(lambda key: models.init(model, key), jax.random.key(0))
    parts = jax.tree_util.tree_leaves_with_path(model.labels(params))
    assert len(parts) == len(jax.tree.leaves(params))
    for path, part in parts:
        last = path[-1].key
        lasting = last.startswith(("bias", "log_")) or last in ("gains", "scale", "tokens")
        assert (part == "undecayed") == lasting
        assert (part == "frequencies") == last.startswith("frequencies_")
    assert [part for _, part in parts].count("frequencies") == frequencies


def test_renamed_frequencies_are_an_error():
    params = parameters()
    params["decoder"]["waves_0"] = params["decoder"].pop("frequencies_0")
    with pytest.raises(ValueError, match=r"no optimizer group holds .*decoder/waves_0"):
        make_optimizer(settings(), 20, labels).init(params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate nan"),
        ({"frequency_multiplier": -1.0}, "frequency_multiplier -1.0"),
        ({"frequency_schedule": "linear"}, "'linear' must be one of cosine, constant"),
        ({"clip": 0.0}, "clip 0.0"),
        ({"weight_decay": -0.1}, "weight_decay -0.1"),
        ({"warmup": -1}, "warmup -1"),
        ({"frequency_warmup": -1}, "frequency_warmup -1"),
        ({"b2": 1.0}, "b2 1.0"),
    ],
)
def test_mistakes(change, message):
    with pytest.raises(InputError, match=message):
        make_optimizer(settings(**change), 20, labels)
