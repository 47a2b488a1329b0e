"""Adversarial training: its formulas, and steps and runs of a tiny network with an adversary."""

import functools
import os
import signal
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr import models, render
from inr_sr.coordinates import upright_footprint
from inr_sr.data.loaders import ResidentLoader, sampling, training_source
from inr_sr.data.samples import Batch, make_batch
from inr_sr.devices import make_mesh, place, replicated
from inr_sr.errors import InputError
from inr_sr.models.discriminators import DISCRIMINATORS, STATISTICS, PatchDiscriminator
from inr_sr.models.field import SKIP_REACH, Field, with_margin
from inr_sr.training import state as training_state
from inr_sr.training import step as training_step
from inr_sr.training.adversary import Adversary, check
from inr_sr.training.loop import Interrupted, NotFinite
from inr_sr.training.losses import formulas
from inr_sr.training.losses.adversarial import (
    GAMES,
    adaptive_weight,
    feature_matching,
    gradient_penalty,
)
from inr_sr.training.metric_writer import METRICS, rows
from inr_sr.training.optimizer import make_optimizer
from inr_sr.training.tasks.super_resolution import SuperResolution
from inr_sr.training.trained import WEIGHTS, export
from inr_sr.weights import load_weights
from tests.networks import small_config
from tests.tiny import score, tiny, tiny_images, train

SQUARE = {
    "data__layout": "square",
    "data__min_scale": 2.0,
    "data__queries": 16**2,
    "adversarial__weight": 0.1,
    "adversarial__discriminator": "patch",
    "adversarial__width": 2,
}
ALL = {
    **SQUARE,
    "adversarial__loss": "relativistic",
    "adversarial__r1": 0.5,
    "adversarial__r2": 0.25,
    "adversarial__feature_matching": 0.3,
}
STEPS = 2


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


def logits() -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.random.default_rng(0).normal(0, 2, (2, 3, 4, 4)).astype(np.float32))


def test_losses_are_their_formulas():
    r, f = logits()
    expected = {
        "non_saturating": (softplus(-f).mean(), softplus(-r).mean() + softplus(f).mean()),
        "hinge": (-f.mean(), np.maximum(1 - r, 0).mean() + np.maximum(1 + f, 0).mean()),
        "relativistic": (softplus(r - f).mean(), softplus(f - r).mean()),
    }
    assert set(expected) == set(GAMES)
    for name, values in expected.items():
        found = [loss(jnp.asarray(r), jnp.asarray(f)) for loss in GAMES[name]]
        np.testing.assert_allclose(found, values, rtol=1e-5)


@pytest.mark.parametrize("name", GAMES)
def test_each_side_gains_by_what_costs_the_other(name):
    r, f = (jnp.clip(jnp.asarray(x), -0.9, 0.9) for x in logits())  # where the hinge is open
    discriminator, generator = (jax.grad(loss, argnums=1)(r, f) for loss in GAMES[name][::-1])
    assert (generator < 0).all()
    assert (discriminator > 0).all()


def test_the_penalty_of_linear_discriminators_is_that_of_their_weights():
    w, x = (jax.random.normal(jax.random.key(i), (5, 8, 8, 3)) for i in range(2))
    square = np.square(np.asarray(w[0])).sum()

    def whole(x):
        return jnp.einsum("bnmc,nmc->b", x, w[0])

    def quarters(x):
        return (x * w[:1]).reshape(len(x), 2, 4, 2, 4, 3).sum((2, 4, 5))

    np.testing.assert_allclose(gradient_penalty(whole, x), square / 2, rtol=1e-5)
    np.testing.assert_allclose(gradient_penalty(quarters, x), square / 8, rtol=1e-5)


def test_the_penalty_has_gradients():
    """D = a |x|^2 / 2: |grad D|^2 / 2 = a^2 |x|^2 / 2, whose derivative by a is a |x|^2."""
    x = jax.random.normal(jax.random.key(0), (4, 8, 8, 3))

    def penalty(a):
        return gradient_penalty(lambda x: a * jnp.sum(x**2, (1, 2, 3)) / 2, x)

    expected = 3 * np.square(np.asarray(x)).sum((1, 2, 3)).mean()
    np.testing.assert_allclose(jax.grad(penalty)(3.0), expected, rtol=1e-5)


def test_feature_matching_and_the_adaptive_weight_are_their_formulas():
    rng = np.random.default_rng(0)
    real, fake = ([rng.random((2, n, n, 8 // n), np.float32) for n in (4, 2)] for _ in range(2))
    expected = np.mean([np.abs(a - b).mean() for a, b in zip(real, fake)])
    np.testing.assert_allclose(feature_matching(real, fake), expected, rtol=1e-5)
    norms = [np.sqrt(sum(np.square(x).sum() for x in xs)) for xs in (real, fake)]
    ratio = norms[0] / (norms[1] + 1e-4)
    np.testing.assert_allclose(adaptive_weight(real, fake), ratio, rtol=1e-5)
    nothing = [np.zeros_like(x) for x in fake]
    big = [100 * x for x in real]
    assert adaptive_weight(big, nothing) == 1e4
    assert adaptive_weight(nothing, real) == 0


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["spectral", "modulated", "liif", "pixel_shuffle"])
def test_the_last_layer_is_what_starts_at_zero(decoder):
    model = models.build(small_config(decoder))
    params = jax.jit(lambda: models.init(model, jax.random.key(0)))()
    leaves = jax.tree_util.tree_leaves_with_path(params["decoder"])
    last = model.last_layer(params)
    kernels = [x for path, x in leaves if "kernel" in path[-1].key]
    assert [id(x) for x in last] == [id(x) for x in kernels if not x.any()]
    assert len(last) == {"spectral": 2, "modulated": 3, "liif": 1, "pixel_shuffle": 1}[decoder]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_images(tmp_path_factory.mktemp("images"))


def steps(folder: Path, mesh: jax.sharding.Mesh, **changes: Any) -> tuple[Any, Any, dict]:
    """State before, state after STEPS steps, and the last one's metrics; all on the host."""
    config = tiny(folder, **{**ALL, **changes})
    check(config)
    task = SuperResolution(config)
    adversary = Adversary(config, task)
    optimizer = make_optimizer(config.optimizer, config.train.steps, task.labels)
    params, opponent = task.init(jax.random.key(1)), adversary.create(jax.random.key(3))
    state = training_state.create(params, optimizer, 2, opponent)
    before = jax.tree.map(np.asarray, state)
    data = task.loader(mesh, 0).take(STEPS)
    advance = training_step.make_advance(config, task, optimizer, mesh, adversary=adversary)
    after, metrics = advance(place(before, replicated(mesh)), data, STEPS)
    numbers = {name: float(value) for name, value in metrics.items()}
    return before, jax.tree.map(np.asarray, after), numbers


def one_device() -> jax.sharding.Mesh:
    return jax.sharding.Mesh(jax.devices()[:1], ("data",))


@pytest.fixture(scope="module")
def alone(folder) -> tuple[Any, Any, dict]:
    return steps(folder, one_device())


def assert_same_steps(result: tuple, expected: tuple) -> None:
    """To float rounding, which Adam's normalisation makes larger."""

    def compared(steps: tuple) -> tuple:
        _, after, numbers = steps
        adversary = after.adversary
        return after.params, after.ema, adversary.params, adversary.statistics, numbers

    def close(a: Any, b: Any) -> None:
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=5e-6)

    jax.tree.map(close, compared(result), compared(expected))


@pytest.mark.slow
def test_a_step_moves_both_and_the_average_of_one(alone):
    before, after, numbers = alone
    gone = jax.tree.map(
        lambda a, b: float(np.abs(a - b).sum()),
        (before.params, before.adversary.params, before.adversary.statistics),
        (after.params, after.adversary.params, after.adversary.statistics),
    )
    assert gone[1]["logits"].pop("bias") == 0  # of both logits, whose difference is all that counts
    assert min(jax.tree.leaves(gone)) > 0
    assert jax.tree.structure(after.ema) == jax.tree.structure(after.params)
    assert {
        "adversary_generator", "adversary_discriminator", "adversary_weight",
        "adversary_gradient_norm", "r1", "r2", "feature_matching", "logits_real", "logits_fake",
    } < set(numbers)  # fmt: skip
    whole = numbers["l1"] + 0.1 * numbers["adversary_generator"]
    assert numbers["loss"] == pytest.approx(whole + 0.3 * numbers["feature_matching"])
    assert np.isfinite(list(numbers.values())).all()


@pytest.mark.devices
@pytest.mark.skipif(jax.device_count() == 1, reason="one device; INR_SR_TEST_DEVICES=8 makes 8")
def test_all_devices_give_the_step_of_one(folder, alone):
    assert_same_steps(steps(folder, make_mesh()), alone)


@pytest.mark.slow
def test_slices_and_loops_give_the_same_step(folder, alone, monkeypatch):
    monkeypatch.setattr(training_step, "loops_are_slow", lambda: False)
    assert_same_steps(steps(folder, one_device(), train__accumulate=2), alone)


@functools.cache
def fixed_batch(folder: Path) -> Batch:
    spec = sampling(tiny(folder, **SQUARE))
    data = ResidentLoader(training_source(tiny(folder)), spec, one_device()).take(1)
    keys = jax.random.split(jax.random.key(5), 16).reshape(8, 2)
    return jax.jit(lambda: make_batch(keys[:, 0], jax.vmap(data.draw)(keys), spec))()


def enlarged(batch: Batch) -> jax.Array:
    """Bicubic, [8, 256, 3]."""
    field = Field(with_margin(batch.lr, 0, SKIP_REACH), Nothing())
    return render.points(field, batch.cell, batch.delta, upright_footprint(batch.size[:, None]))


class Nothing:
    """In place of a decoder's residual."""

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        return jnp.zeros((*cell.shape[:2], 3))


class Judged(SuperResolution):
    """With another generator, bicubic unless it is given, and its L1 as the only loss."""

    def __init__(self, config: Any, generate: Any = lambda params, batch: enlarged(batch)) -> None:
        super().__init__(config)
        self.generate = generate

    def reconstruction(self, out: Any, batch: Batch, constants: Any) -> tuple[jax.Array, dict]:
        value = formulas.l1(out, batch.target)
        return value, {"loss": value}


@pytest.mark.slow
def test_gradients_are_those_of_the_losses(folder):
    """With the adaptive weight, by differentiating the terms one by one; of a small generator."""
    config = tiny(folder, **{**ALL, "adversarial__adaptive": True})
    batch = fixed_batch(folder)
    keys = jax.random.split(jax.random.key(4), 3)
    first = jax.random.normal(keys[0], (3, 4))
    heads = {name: {"kernel": 0.1 * jax.random.normal(key, (4, 3))}
             for name, key in zip(("cos", "sin"), keys[1:])}  # fmt: skip
    params = {"encoder": {"kernel": first}, "decoder": heads}

    def generate(params: Any, batch: Batch) -> jax.Array:
        up = enlarged(batch)
        hidden = jnp.tanh(jnp.einsum("bqc,cd->bqd", up, params["encoder"]["kernel"]))
        kernels = (params["decoder"][name]["kernel"] for name in ("cos", "sin"))
        return up + sum(jnp.einsum("bqd,dc->bqc", hidden**i, k) for i, k in enumerate(kernels, 1))

    adversary = Adversary(config, Judged(config, generate))
    opponent = adversary.create(jax.random.key(3))
    found = jax.jit(adversary.gradients)
    (grads, own_params), metrics = found((params, opponent), batch, jax.random.key(0), ())
    truth, condition = (x.reshape(8, 16, 16, 3) for x in (batch.target, enlarged(batch)))

    def discriminate(own_params: Any, images: jax.Array) -> Any:
        variables = {"params": own_params, STATISTICS: opponent.statistics}
        return PatchDiscriminator(2).apply(variables, images, condition)

    def terms(params: Any, own_params: Any) -> jax.Array:
        out = generate(params, batch)
        real, fake = (discriminate(own_params, x) for x in (truth, out.reshape(truth.shape)))
        generator, discriminator = (
            loss(real.logits, fake.logits) for loss in GAMES["relativistic"]
        )
        matching = feature_matching(real.features, fake.features)
        return jnp.stack([formulas.l1(out, batch.target), generator, matching, discriminator])

    by_term = jax.jit(jax.jacrev(terms))(params, opponent.params)
    length = [
        np.sqrt(sum(np.square(head["kernel"][i]).sum() for head in by_term["decoder"].values()))
        for i in range(2)
    ]
    weight = 0.1 * length[0] / (length[1] + 1e-4)
    assert metrics["adversary_weight"] == pytest.approx(weight, rel=1e-3)
    weights = np.array([1, weight, 0.3, 0], np.float32)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, np.tensordot(weights, b, 1), atol=1e-5),
        grads,
        by_term,
    )

    def discriminator_loss(own_params: Any) -> jax.Array:
        fakes = generate(params, batch).reshape(truth.shape)
        r1, r2 = (
            gradient_penalty(lambda x: discriminate(own_params, x).logits, images)
            for images in (truth, fakes)
        )
        return terms(params, own_params)[3] + 0.5 * r1 + 0.25 * r2

    expected = jax.jit(jax.grad(discriminator_loss))(opponent.params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), own_params, expected
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", DISCRIMINATORS)
@pytest.mark.parametrize("loss", GAMES)
def test_an_adversary_is_the_configured_one(folder, kind, loss):
    changes = {"adversarial__discriminator": kind, "adversarial__loss": loss}
    config = tiny(folder, **{**SQUARE, **changes})
    adversary, batch = Adversary(config, Judged(config)), fixed_batch(folder)
    opponent = adversary.create(jax.random.key(3))
    _, metrics = jax.jit(adversary.gradients)(((), opponent), batch, jax.random.key(0), ())

    @jax.jit
    def logits_of(images: jax.Array) -> jax.Array:
        variables = {"params": opponent.params, STATISTICS: opponent.statistics}
        shape = (8, 16, 16, 3)
        condition = enlarged(batch).reshape(shape)
        return DISCRIMINATORS[kind](2).apply(variables, images.reshape(shape), condition).logits

    logits = logits_of(batch.target), logits_of(enlarged(batch))
    for name, value in zip(("generator", "discriminator"), GAMES[loss], strict=True):
        assert metrics[f"adversary_{name}"] == pytest.approx(float(value(*logits)), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("loss", GAMES)
def test_a_discriminator_learns_to_distinguish_bicubic_from_truth(folder, loss):
    changes = {"adversarial__loss": loss, "adversarial__learning_rate": 1e-2}
    config = tiny(folder, **{**SQUARE, **changes, "adversarial__width": 8})
    adversary, batch = Adversary(config, Judged(config)), fixed_batch(folder)

    @jax.jit
    def learn(opponent: Any) -> tuple[Any, dict]:
        (_, own_params), metrics = adversary.gradients(((), opponent), batch, jax.random.key(0), ())
        return adversary.updated(opponent, own_params), metrics

    opponent, metrics_by_step = adversary.create(jax.random.key(3)), []
    for _ in range(120):
        opponent, metrics = learn(opponent)
        metrics_by_step.append(metrics)
    fell = [
        float(metrics["adversary_discriminator"])
        for metrics in (metrics_by_step[0], metrics_by_step[-1])
    ]
    assert fell[1] < 0.5 * fell[0]
    assert metrics_by_step[-1]["logits_real"] > metrics_by_step[-1]["logits_fake"] + 1


SHORT = {
    **SQUARE,
    "adversarial__discriminator": "unet",
    "adversarial__start": 1,
    "train__steps": 4,
    "train__steps_per_dispatch": 3,
    "train__eval_every": 1,
    "train__log_every": 1,
}


@pytest.fixture(scope="module")
def straight(tmp_path_factory, folder) -> tuple[Path, Any]:
    """4 steps, 3 of them against an adversary."""
    workdir = tmp_path_factory.mktemp("straight") / "run"
    return workdir, train(tiny(folder, **SHORT), workdir, score)


@pytest.mark.slow
def test_a_run_resumes_bit_identically(tmp_path, folder, straight):
    calls = []

    def stop_once(params: Any) -> tuple[dict, dict]:
        if not calls:
            os.kill(os.getpid(), signal.SIGINT)  # heeded after the next stretch
        calls.append(1)
        return score(params)

    config = tiny(folder, **SHORT)
    with pytest.raises(Interrupted, match="stopped at step 2 of 4, saved"):
        train(config, tmp_path / "run", stop_once)
    resumed = train(config, tmp_path / "run", score)
    jax.tree.map(np.testing.assert_array_equal, resumed, straight[1])
    assert (tmp_path / "run" / METRICS).read_bytes() == (straight[0] / METRICS).read_bytes()


@pytest.mark.slow
def test_before_it_joins_there_is_no_adversary(folder, straight, tmp_path):
    found = rows(straight[0] / METRICS)
    assert ["adversary_discriminator" in row for row in found] == [False, True, True, True]
    without = {**SHORT, "adversarial__weight": 0.0}
    state = train(tiny(folder, **without), tmp_path / "plain", score)
    plain = rows(tmp_path / "plain" / METRICS)
    assert found[0] == plain[0]
    assert found[1]["loss"] != plain[1]["loss"]
    assert state.adversary is None
    assert "adversary_weight" not in plain[-1]


@pytest.mark.slow
def test_exported_weights_hold_the_generator_alone(straight):
    workdir, state = straight
    export(workdir)
    weights = load_weights(workdir / WEIGHTS)
    jax.tree.map(np.testing.assert_array_equal, weights.params, state.ema)
    assert weights.facts["adversarial"]["start"] == 1


@pytest.mark.slow
def test_an_adversary_that_is_not_finite_ends_the_run(tmp_path, folder, monkeypatch):
    make = training_step.make_advance

    def make_breaking(*arguments: Any, **named: Any) -> Any:
        advance = make(*arguments, **named)

        def breaking(state: Any, data: Any, count: int) -> tuple[Any, dict]:
            state, metrics = advance(state, data, count)
            broken = {name: jnp.nan for name in metrics if name == "adversary_gradient_norm"}
            return state, {**metrics, **broken}

        return breaking

    monkeypatch.setattr("inr_sr.training.setup.make_advance", make_breaking)
    with pytest.raises(NotFinite, match=r"norm is nan at step 2; .*adversarial\.learning_rate"):
        train(tiny(folder, **SHORT), tmp_path, score)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adversarial__weight": -1.0}, "weight -1.0 must be at least 0, and finite"),
        ({"adversarial__discriminator": "vgg"}, "discriminator 'vgg'; there are: patch, unet"),
        ({"adversarial__loss": "wgan"}, "loss 'wgan'; there are: hinge, non_sat.*, relativistic"),
        ({"adversarial__r1": -1.0}, "r1 -1.0"),
        ({"adversarial__r2": float("nan")}, "r2 nan"),
        ({"adversarial__feature_matching": -0.1}, "feature_matching -0.1"),
        ({"adversarial__start": -1}, "start -1 must be at least 0"),
        ({"adversarial__start": 24}, "start 24 must be below train.steps 24"),
        ({"adversarial__width": 0}, "width 0 must be at least 1"),
        ({"adversarial__learning_rate": 0.0}, "learning_rate 0.0 must be above 0"),
        ({"adversarial__b1": 1.0}, "b1 1.0 must be at least 0 and below 1"),
        ({"data__layout": "points"}, "needs data.layout = 'square', not 'points': a discrim"),
        ({"data__queries": 144}, "data.queries 144: .* images of 12x12 pixels; sides must be"),
        (
            {"adversarial__adaptive": True, "train__accumulate": 2},
            "adversarial.adaptive needs train.accumulate = 1, not 2",
        ),
    ],
)
def test_mistakes_leave_nothing_behind(tmp_path, folder, change, message):
    with pytest.raises(InputError, match=message):
        train(tiny(folder, **{**SQUARE, **change}), tmp_path / "run", score)
    assert list(tmp_path.iterdir()) == []
