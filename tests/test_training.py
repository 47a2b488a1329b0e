"""The training step and loop. `python -m tests.test_training` writes the golden numbers again."""

import functools
import json
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from inr_sr import models, render
from inr_sr.data.loaders import ResidentLoader
from inr_sr.devices import make_mesh, place, replicated, sharded
from inr_sr.errors import InputError, InUse
from inr_sr.files import LOCK, locked
from inr_sr.training import frequencies
from inr_sr.training import state as training_state
from inr_sr.training import step as training_step
from inr_sr.training.checkpoints import CHECKPOINTS, Checkpoints
from inr_sr.training.loop import Interrupted, NotFinite
from inr_sr.training.metric_writer import METRICS, MetricWriter, rows
from inr_sr.training.optimizer import make_optimizer
from inr_sr.training.state import TrainState
from inr_sr.training.tasks.super_resolution import SuperResolution, cut_square
from tests.tiny import content, finish, score, start, stop_when, tiny, tiny_images, train

GOLDEN = Path(__file__).parent / "golden" / "training_step.json"
STEPS = 3


def steps(
    folder: Path, mesh: jax.sharding.Mesh, crops: bool = False, **changes: Any
) -> tuple[TrainState, TrainState, dict[str, float]]:
    """State before, state after STEPS steps, and the last one's metrics; all on the host."""
    config = tiny(folder, **changes)
    task = SuperResolution(config)
    spec = task.specs[0]
    optimizer = make_optimizer(config.optimizer, config.train.steps, task.labels)
    params = task.init(jax.random.key(1))
    before = jax.tree.map(np.asarray, training_state.create(params, optimizer, seed=2))
    if crops:
        shape = (STEPS, 8, spec.candidates, spec.crop, spec.crop, 3)
        data = place(np.random.default_rng(0).integers(0, 256, shape, np.uint8), sharded(mesh))
    else:
        data = task.loader(mesh, 0).take(STEPS)
    advance = training_step.make_advance(config, task, optimizer, mesh)
    after, metrics = advance(place(before, replicated(mesh)), data, STEPS)
    numbers = {name: float(value) for name, value in metrics.items()}
    return before, jax.tree.map(np.asarray, after), numbers


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_images(tmp_path_factory.mktemp("images"))


def one_device() -> jax.sharding.Mesh:
    return jax.sharding.Mesh(jax.devices()[:1], ("data",))


@pytest.fixture(scope="module")
def plain(folder) -> tuple[TrainState, TrainState, dict[str, float]]:
    return steps(folder, one_device())


@pytest.fixture(scope="module")
def plain_crops(folder) -> tuple[TrainState, TrainState, dict[str, float]]:
    return steps(folder, one_device(), crops=True)


def assert_same_steps(result: tuple, expected: tuple) -> None:
    """To float rounding, which Adam's normalisation makes larger."""
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-6),
        (result[1].params, result[1].ema, result[2]),
        (expected[1].params, expected[1].ema, expected[2]),
    )


@pytest.mark.devices
def test_steps_give_the_stored_numbers(plain):
    golden = json.loads(GOLDEN.read_text())
    assert plain[2] == pytest.approx(golden, rel=1e-4)


def test_every_parameter_and_its_average_move(plain):
    before, after, _ = plain
    assert int(after.step) == STEPS
    gone, lag = (
        [np.abs(a - b).sum() for a, b in zip(*map(jax.tree.leaves, pair))]
        for pair in ((before.params, after.params), (after.ema, after.params))
    )
    assert min(gone) > 0
    assert 0 < sum(lag) < sum(gone)
    np.testing.assert_array_equal(before.rng, after.rng)


def test_the_average_is_short_at_first():
    decay = [float(training_step.ema_decay(0.99, jnp.asarray(t, jnp.int32))) for t in (0, 8, 9999)]
    assert decay == pytest.approx([0.1, 0.5, 0.99])


@pytest.mark.slow
@pytest.mark.devices
def test_slices_give_the_same_step(folder, plain):
    assert_same_steps(steps(folder, one_device(), train__accumulate=2), plain)


@pytest.mark.slow
@pytest.mark.devices
def test_loops_in_the_program_give_the_same_steps(folder, plain, plain_crops, monkeypatch):
    monkeypatch.setattr(training_step, "loops_are_slow", lambda: False)
    assert_same_steps(steps(folder, one_device(), train__accumulate=2), plain)
    assert_same_steps(steps(folder, one_device(), crops=True), plain_crops)


@pytest.mark.slow
def test_each_step_draws_one_patch_size(folder, plain, monkeypatch):
    """Each as often as any other; some of the steps here have the smaller one, in both loops."""
    rng = plain[0].rng
    shapes = jax.vmap(lambda step: training_step.random_shape(rng, step, 3))
    counts = np.bincount(shapes(jnp.arange(3000)), minlength=3)
    np.testing.assert_allclose(counts, 1000, atol=100)
    sizes = [
        int(training_step.random_shape(rng, jnp.asarray(t, jnp.int32), 2)) for t in range(STEPS)
    ]
    assert 0 < sum(sizes) < STEPS
    mixed = steps(folder, one_device(), data__other_patches=(6,))
    moved = [np.abs(a - b).max() for a, b in zip(*map(jax.tree.leaves, (mixed[1], plain[1])))]
    assert max(moved) > 1e-4
    monkeypatch.setattr(training_step, "loops_are_slow", lambda: False)
    assert_same_steps(steps(folder, one_device(), data__other_patches=(6,)), mixed)


def test_smaller_patches_are_cut_from_anywhere_in_a_crop():
    crops = np.zeros((2, 7, 7, 3), np.uint8)
    crops[:, :, :, 0], crops[:, :, :, 1] = np.mgrid[:7, :7]
    keys = jax.random.split(jax.random.key(0), 400)
    parts = np.asarray(jax.vmap(lambda key: cut_square(key, jnp.asarray(crops), 4))(keys))
    corners = {(int(row), int(col)) for row, col, _ in parts[:, 0, 0, 0]}
    assert corners == {(row, col) for row in range(4) for col in range(4)}
    assert (parts[:, 0] == parts[:, 1]).all()
    assert parts.shape == (400, 2, 4, 4, 3)


TOKENS = {
    "model__encoder": "lp_tokens", "model__decoder": "modulated", "model__trained_size": 8,
    "model__lp_tokens__width": 8, "model__lp_tokens__blocks": 1, "model__lp_tokens__learned": 2,
    "model__lp_tokens__heads": 2, "model__lp_tokens__patch": 2, "model__lp_tokens__spacing": 2,
    "model__modulated__hidden": 8, "model__modulated__features": 4, "model__modulated__heads": 2,
    "model__modulated__max_scale": 2.0,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.devices
def test_all_parameters_of_the_token_system_are_trained(folder):
    """All of its parameters move, alike on all devices; so do those of scans."""
    for changes in (
        {},
        {"model__lp_tokens__mixer": "state_space", "model__lp_tokens__layout": "cross"},
    ):
        whole = steps(folder, one_device(), **TOKENS, **changes)
        moved = [
            np.abs(a - b).sum() for a, b in zip(*(jax.tree.leaves(s.params) for s in whole[:2]))
        ]
        assert min(moved) > 0
    if jax.device_count() > 1:
        assert_same_steps(steps(folder, make_mesh(), **TOKENS, **changes), whole)


@pytest.mark.slow
@pytest.mark.devices
def test_dense_patches_give_the_steps_of_points(folder, monkeypatch):
    square = {"data__layout": "square", "data__queries": 36}
    gathered = steps(folder, one_device(), **square)
    monkeypatch.setattr(training_step, "loops_are_slow", lambda: True)
    monkeypatch.setattr("inr_sr.training.tasks.super_resolution.on_cpu", lambda: False)
    calls = []
    patches = render.patches
    monkeypatch.setattr(render, "patches", lambda *args: calls.append(1) or patches(*args))
    assert_same_steps(steps(folder, one_device(), **square), gathered)
    assert calls


@pytest.mark.devices
@pytest.mark.skipif(jax.device_count() == 1, reason="one device; INR_SR_TEST_DEVICES=8 makes 8")
def test_all_devices_give_the_step_of_one(folder, plain, plain_crops):
    assert_same_steps(steps(folder, make_mesh()), plain)
    assert_same_steps(steps(folder, make_mesh(), crops=True), plain_crops)


def saved(workdir: Path) -> list[int]:
    with closing(Checkpoints(workdir / CHECKPOINTS, read_only=True)) as checkpoints:
        return checkpoints.steps()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, folder) -> tuple[Path, TrainState]:
    """24 steps, rows of even steps, validated at 8, 16 and 24."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, train(tiny(folder), workdir, score)


def test_rows_hold_numbers_and_no_clock(finished):
    found = rows(finished[0] / METRICS)
    assert [row["step"] for row in found] == list(range(2, 25, 2))
    always = {
        "step", "loss", "l1", "psnr", "gradient_norm", "learning_rate", "frequency_learning_rate",
        "frequency_gradient_norm", "frequency_mean", "frequency_max", "kappa",
    }  # fmt: skip
    for row in found:
        validated = {"eval_psnr"} if row["step"] in (8, 16, 24) else set()
        assert set(row) == always | validated
        assert np.isfinite(list(row.values())).all()
    expected = score(finished[1].ema)[0]["eval_psnr"]
    assert found[-1]["eval_psnr"] == expected


def test_the_newest_and_the_best_checkpoint_are_kept(tmp_path, folder):
    scores = iter([3.0, 7.0, 5.0, 6.0])
    config = tiny(folder, train__checkpoint_every=2, train__eval_every=7)
    averages = []

    def validate(params: Any) -> tuple[dict[str, float], dict]:
        averages.append(jax.tree.map(np.asarray, params))
        return {"eval_psnr": next(scores)}, {}

    final = train(config, tmp_path, validate)  # scored at 7, 14, 21, 24
    assert saved(tmp_path) == [14, 24]
    like = jax.tree.map(jnp.zeros_like, final.params)
    with closing(Checkpoints(tmp_path / CHECKPOINTS, read_only=True)) as checkpoints:
        newest, last = checkpoints.restore_average(like)
        step, average = checkpoints.restore_average(like, best=True)
    assert (newest, step) == (24, 14)
    jax.tree.map(np.testing.assert_array_equal, last, averages[3])
    jax.tree.map(np.testing.assert_array_equal, average, averages[1])


def test_a_finished_run_stays_as_it_is(finished, folder, capfd):
    workdir, final = finished
    before = content(workdir)
    again = train(tiny(folder), workdir, score)
    jax.tree.map(np.testing.assert_array_equal, again, final)
    assert content(workdir) == before
    assert capfd.readouterr() == ("", "")


def test_a_run_of_another_process_is_left_to_it(folder, tmp_path):
    config = tiny(folder, train__steps=3)
    with locked(tmp_path / "run"), pytest.raises(InUse, match="in use by another process"):
        train(config, tmp_path / "run", score)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [LOCK]


def test_another_run_is_refused(finished, folder):
    workdir, _ = finished
    before = content(workdir)
    for change, message in (
        ({"model.edsr.features": 5}, "model.edsr.features is 4 there, 5 here"),
        ({"model.spectral.bands": (0.5, 1.0, 3.0)}, "model.spectral.bands is"),
        ({"seed": 1, "train.steps": 20}, "seed is 0 there, 1 here; train.steps is 24 there"),
    ):
        other = tiny(folder)
        other.update_from_flattened_dict(change)
        with pytest.raises(InputError, match=message):
            train(other, workdir, score)
    assert content(workdir) == before


def test_a_damaged_checkpoint_is_one_line(finished, folder, tmp_path):
    workdir = tmp_path / "damaged"
    train(tiny(folder), workdir, score)
    for path in (workdir / CHECKPOINTS / "24" / "parameters").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"checkpoint 24 in .* cannot be opened") as caught:
        train(tiny(folder), workdir, score)
    assert "\n" not in str(caught.value)


def test_checkpoints_are_checked_against_their_checksums(finished, folder, tmp_path):
    workdir = Path(shutil.copytree(finished[0], tmp_path / "flipped"))
    sums = workdir / CHECKPOINTS / "24" / "checksums" / "metadata"
    found = json.loads(sums.read_text())
    sums.write_text(json.dumps({**found, "rest": found["rest"][::-1]}))
    with pytest.raises(InputError, match=r"checkpoint 24 in .* is damaged: its rest do not match"):
        train(tiny(folder), workdir, score)


def test_the_rows_go_on_after_a_kill(tmp_path):
    whole = "".join(json.dumps({"step": step, "loss": step / 7}) + "\n" for step in (2, 4, 6, 8))
    for torn in (b"{}\n", b"[1]\n", b'{"st\xff', b'{"step": 10, "lo'):
        (tmp_path / METRICS).write_bytes(whole.encode() + torn)
        assert [row["step"] for row in rows(tmp_path / METRICS)] == [2, 4, 6, 8]
    with closing(MetricWriter(tmp_path, step=6)) as writer:
        kept = (tmp_path / METRICS).read_text()
        assert kept == "".join(whole.splitlines(keepends=True)[:3])
        writer.write(8, {"loss": 8 / 7})
    assert (tmp_path / METRICS).read_text() == whole


@pytest.mark.parametrize("broken", ["loss", "gradient_norm"])
def test_numbers_that_are_not_finite_end_the_run(tmp_path, folder, monkeypatch, broken):
    make = training_step.make_advance

    def make_breaking(*arguments: Any, **named: Any) -> Callable:
        advance = make(*arguments, **named)

        def breaking(state: TrainState, data: Any, count: int) -> tuple[TrainState, dict]:
            state, metrics = advance(state, data, count)
            if int(state.step) >= 8:  # as after an infinite gradient
                state = state.replace(params=jax.tree.map(lambda p: p * jnp.nan, state.params))
                metrics[broken] = jnp.asarray(jnp.nan)
            return state, metrics

        return breaking

    def validate(params: Any) -> tuple[dict[str, float], dict]:
        raise AssertionError("parameters that are not finite were evaluated")

    monkeypatch.setattr("inr_sr.training.setup.make_advance", make_breaking)
    config = tiny(folder)
    with pytest.raises(NotFinite, match=f"{broken} is nan at step 8; the last .* is from step 4"):
        train(config, tmp_path, validate)
    assert saved(tmp_path) == [4]
    assert [row["step"] for row in rows(tmp_path / METRICS)] == [2, 4, 6]


def test_a_stop_requested_in_the_last_validation_is_heeded(tmp_path, folder):
    def validate(params: Any) -> tuple[dict[str, float], dict]:
        os.kill(os.getpid(), signal.SIGTERM)
        return score(params)

    with pytest.raises(Interrupted, match="stopped at step 24 of 24, saved"):
        train(tiny(folder, train__eval_every=24), tmp_path, validate)
    assert saved(tmp_path) == [24]


def test_what_the_machine_lacks_is_one_line(tmp_path, folder, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("OUT_OF_RANGE: no space left\n[source locations]")

    def too_much(*_: Any) -> Callable:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, "save", refuse)
        with pytest.raises(InputError, match=r"cannot be written: OUT_OF_RANGE: no space left$"):
            train(tiny(folder), tmp_path / "disk", score)
    monkeypatch.setattr(ResidentLoader, "take", too_much)
    with pytest.raises(MemoryError, match=r"lower train\.batch_size"):
        train(tiny(folder), tmp_path / "memory", score)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train__steps": 0}, "train.steps 0 must be at least 1"),
        ({"train__log_every": 0}, "train.log_every 0"),
        ({"train__ema": 1.0}, "train.ema 1.0"),
        ({"train__accumulate": 3}, "must be a multiple of train.accumulate 3 times the number"),
        ({"model__decoder": "pixel_shuffle"}, "a pixel_shuffle decoder of scale 4 needs"),
        (
            {"data__other_patches": (8,)},
            r"data.other_patches \(8,\) must be whole numbers that differ, from 4 to below",
        ),
        ({"data__mode": "lazy"}, "'lazy' must be one of resident, streaming"),
        ({"data__patch": 40}, "every image is smaller than a crop of 80x80"),
        ({"data__patch": 40, "data__mode": "streaming"}, "every image is smaller than a crop"),
    ],
)
def test_mistakes_leave_nothing_behind(tmp_path, folder, change, message):
    with pytest.raises(InputError, match=message):
        train(tiny(folder, **change), tmp_path / "run", score)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.devices
@pytest.mark.parametrize("mode", ["resident", "streaming"])
def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path, folder, finished, mode):
    changes = {"data__mode": mode, "train__checkpoint_every": 3}
    straight, final = finished
    if mode == "streaming":
        straight = tmp_path / "straight"
        final = train(tiny(folder, **changes), straight, score)
    chance = random.Random(mode)
    workdir = tmp_path / "killed"
    kills = 0
    for enough in (chance.randrange(1, 6), chance.randrange(6, 10)):

        def ready(enough: int = enough) -> bool:
            path = workdir / METRICS
            return path.exists() and path.read_bytes().count(b"\n") >= enough

        process = start(workdir, folder, **changes)
        code, _ = stop_when(process, ready, signal.SIGKILL, delay=chance.random() / 10)
        kills += code == -signal.SIGKILL
    assert kills > 0
    code, stderr = finish(start(workdir, folder, **changes))
    assert code == 0, stderr
    resumed = train(tiny(folder, **changes), workdir, score)  # it is finished: this restores it
    jax.tree.map(np.testing.assert_array_equal, resumed, final)
    model = models.build(tiny(folder).model)
    first = models.init(model, jax.random.key(tiny(folder).seed))
    for name, matrix in frequencies.matrices(first, model.labels(first)).items():
        np.testing.assert_array_equal(frequencies.recorded(workdir)[name], matrix)
    assert (workdir / METRICS).read_bytes() == (straight / METRICS).read_bytes()
    assert saved(workdir) == saved(straight)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        numbers = steps(tiny_images(Path(name)), one_device())[2]
    GOLDEN.write_text(json.dumps(numbers, indent=2) + "\n")
