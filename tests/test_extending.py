"""What a newcomer adds: one entry in its part's table, or one task, and nothing else changes."""

import dataclasses
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.data.sources import open_source
from inr_sr.devices import place, replicated, sharded
from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import evaluate
from inr_sr.evaluation.metrics import METRICS, EvaluatedImage, Metric
from inr_sr.evaluation.protocols import get_protocol
from inr_sr.evaluation.results import write_json
from inr_sr.models.decoders import DECODERS
from inr_sr.models.encoders import ENCODERS
from inr_sr.models.field import grid_by_points, with_margin
from inr_sr.models.parts import KERNELS, LAYER_GROUPS, check_minimums
from inr_sr.sizes import parse_scales
from inr_sr.training import loop
from inr_sr.training.checkpoints import CHECKPOINTS, latest_step
from inr_sr.training.loop import Interrupted
from inr_sr.training.losses import LOSSES
from inr_sr.training.losses.formulas import Loss
from inr_sr.training.metric_writer import METRICS as ROWS
from inr_sr.training.metric_writer import rows
from inr_sr.training.trained import WEIGHTS, export, load_network
from inr_sr.upscaling import load
from tests.networks import noise_image
from tests.tiny import content, tiny, tiny_images, train
from tests.upscalers import Images, Kernel, run, smooth_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_images(tmp_path_factory.mktemp("images"))


@flax.struct.dataclass
class FlatFunction:
    """One colour [B, h, w, 3] for each LR pixel."""

    colour: jax.Array

    prefers_grid = False
    spatial_arrays = ("colour",)
    margin = 0

    @property
    def lattice(self):
        return self.colour.shape[1:3]

    def points(self, cell, delta, footprint):
        at = cell[..., 0] * self.colour.shape[2] + cell[..., 1]
        colours = self.colour.reshape(len(self.colour), -1, 3)
        return jnp.take_along_axis(colours, at[..., None], axis=1)

    def tables(self, rows, cols):
        return (), ()

    def grid(self, rows, cols, tables):
        return grid_by_points(self.points, len(self.colour), rows, cols)

    def cut(self, rows, cols, take):
        return FlatFunction(take(self.colour, 0))


class FlatDecoder(nn.Module):
    """Features to a FlatFunction; a kernel, a bias, and a gain of its own."""

    gain: float

    receptive_field = 0
    takes_tokens = False
    last_layer = "colour/kernel"
    groups = LAYER_GROUPS
    section = "flat"

    @staticmethod
    def default_config(shared):
        return ConfigDict({"gain": 0.5, "max_scale": shared.max_scale})

    @classmethod
    def from_config(cls, model, dtype, spacing):
        if not model.flat.gain > 0:
            raise InputError(f"model.flat.gain {model.flat.gain} must be above 0")
        return cls(model.flat.gain)

    @nn.compact
    def __call__(self, features, halo):
        inside = with_margin(features, halo, 0)
        return FlatFunction(self.gain * nn.Dense(3, name="colour")(inside))


class OneLayer(nn.Module):
    """One convolution."""

    features: int

    spacing = 1
    receptive_field = 1
    init_shape = (8, 8, 3)
    groups = LAYER_GROUPS
    section = "one_layer"

    @staticmethod
    def default_config():
        return ConfigDict({"features": 5})

    @classmethod
    def from_config(cls, model, dtype, remat):
        check_minimums("one_layer", model.one_layer, {"features": 1})
        return cls(model.one_layer.features)

    @nn.compact
    def __call__(self, image):
        return nn.relu(nn.Conv(self.features, (3, 3), name="only")(image))


def trained_evaluated_and_used(folder: Path, workdir: Path, **changes: Any) -> Any:
    """Runs two training steps, an evaluation, and upscales with the weights; the parameters."""
    config = tiny(folder, train__steps=2, **changes)
    final = train(config, workdir)
    first = models.init(models.build(config.model), jax.random.key(config.seed))
    jax.tree.map(
        lambda a, b: np.testing.assert_array_less(0, np.abs(a - b).sum()), final.params, first
    )

    network = load_network(workdir)
    source, scales = open_source(str(folder), ""), parse_scales("2,1.5x3")
    results = evaluate([Kernel(), network], source, scales, get_protocol("y"), "images")
    assert {row.method for row in results.rows} == {"bicubic", network.name}
    assert all(math.isfinite(row.scores["psnr_y"]) for row in results.rows)

    export(workdir)
    image, size = noise_image(20, 17), (41, 60)
    large = load(workdir / WEIGHTS).upscale(image, size)
    assert large.shape == (*size, 3)
    assert large.std() > 0.01
    np.testing.assert_array_equal(large, network.upscale(image, size))
    tiled = load(workdir / WEIGHTS, tile=8).upscale(image, size)
    np.testing.assert_allclose(tiled, large, atol=1e-5)
    return final.params


@pytest.mark.slow
def test_a_decoder_is_a_class_and_a_line(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(DECODERS, "flat", FlatDecoder)
    assert tiny(data__max_scale=3.0).model.flat.max_scale == 3.0
    with pytest.raises(InputError, match=r"model\.flat.gain -1.0 must be above 0"):
        models.build(tiny(model__decoder="flat", model__flat__gain=-1.0).model)
    chosen = {"model__decoder": "flat", "model__flat__gain": 0.25}
    params = trained_evaluated_and_used(folder, tmp_path / "run", **chosen)
    assert set(params["decoder"]) == {"colour"}
    with pytest.raises(InputError, match=r"model\.flat\.gain is 0\.25 there, 0\.5 here"):
        train(tiny(folder, train__steps=2, model__decoder="flat"), tmp_path / "run")


@pytest.mark.slow
def test_an_encoder_is_a_class_and_a_line(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODERS, "one_layer", OneLayer)
    with pytest.raises(InputError, match=r"model\.one_layer.features 0 must be at least 1"):
        models.build(tiny(model__encoder="one_layer", model__one_layer__features=0).model)
    chosen = {"model__encoder": "one_layer", "model__one_layer__features": 6}
    params = trained_evaluated_and_used(folder, tmp_path / "run", **chosen)
    assert params["encoder"]["only"]["kernel"].shape == (3, 3, 3, 6)


def test_a_loss_is_a_function_and_a_line(folder, tmp_path, monkeypatch):
    def worst(prediction, target):
        return jnp.max(jnp.abs(prediction - target))

    monkeypatch.setitem(LOSSES, "worst", Loss(worst))
    assert tiny().loss.worst == 0.0
    train(tiny(folder, train__steps=4, loss__worst=0.5), tmp_path / "run")
    found = rows(tmp_path / "run" / ROWS)
    assert len(found) == 2
    for row in found:
        assert 0 < row["l1"] < row["worst"]
        assert row["loss"] == pytest.approx(row["l1"] + 0.5 * row["worst"], rel=1e-5)


def power(prediction, target, exponent):
    return jnp.mean(jnp.abs(prediction - target) ** exponent)


@dataclasses.dataclass(frozen=True)
class Powered(Loss):
    """A loss with a section of its own, which it reads before training."""

    def default_config(self):
        return ConfigDict({"exponent": 4.0})

    def load(self, config):
        return jax.tree_util.Partial(power, exponent=np.float32(config.powered.exponent))


@pytest.mark.slow
def test_a_loss_with_a_section_is_a_class_and_a_line(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(LOSSES, "powered", Powered(power))
    assert (tiny().loss.powered, tiny().powered.exponent) == (0.0, 4.0)
    config = tiny(
        folder,
        train__steps=2,
        loss__l1=0.0,
        loss__mse=1.0,
        loss__powered=0.5,
        powered__exponent=2.0,
    )
    train(config, tmp_path / "run")
    (row,) = rows(tmp_path / "run" / ROWS)
    assert row["powered"] == pytest.approx(row["mse"], rel=1e-5)
    assert row["loss"] == pytest.approx(1.5 * row["mse"], rel=1e-5)


def test_a_metric_is_a_function_and_a_line(tmp_path, monkeypatch):
    def error(image: EvaluatedImage) -> float:
        output, truth = image.luma
        return float(np.abs(output - truth).max())

    entry = Metric(error, "largest error of luma, of 1", digits=3, higher_is_better=False)
    monkeypatch.setitem(METRICS, "worst", entry)
    results = run([Kernel("nearest"), Kernel()], Images(a=smooth_image(), b=smooth_image(seed=1)))
    write_json(tmp_path / "results.json", results)
    document = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert document["units"]["worst"] == entry.unit
    for row in document["results"]:
        values = [image["worst"] for image in row["images"]]
        assert 0 < min(values) < max(values) < 1
        assert row["worst"] == pytest.approx(np.mean(values))
        keys = [*METRICS, "seconds", "seconds_per_megapixel", "peak_mib", "parameters", "images"]
        assert list(row) == ["dataset", "scale", "method", *keys]
    nearest, bicubic = (row["worst"] for row in document["results"])
    table = f"worst: {entry.unit}\n\n| method | ×2 |\n| --- | ---: |\n"
    assert f"{table}| nearest | {nearest:.3f} |\n| bicubic | **{bicubic:.3f}** |" in (
        results.to_markdown()
    )


class Once:
    """A loader of one array [steps_per_dispatch, batch], noise about 3, or of the same, shared."""

    def __init__(self, config: ConfigDict, mesh: jax.sharding.Mesh, step: int, streams: bool):
        self._config, self._mesh, self._step, self._streams = config, mesh, step, streams

    def take(self, count):
        train = self._config.train
        if not self._streams:
            return {"values": place(np.float32([2.0, 4.0]), replicated(self._mesh))}
        drawn = [
            np.random.default_rng(self._step + i).normal(3, 0.1, train.batch_size)
            for i in range(train.steps_per_dispatch)
        ]
        self._step += count
        return place(np.float32(drawn), sharded(self._mesh))

    def close(self):
        pass


class Constant:
    """A task without images and model: the one number that is nearest to those of its data."""

    constants = ()
    shapes = 1

    def __init__(self, config: ConfigDict, streams: bool):
        self.config, self.streams, self.validations = config, streams, 0

    def init(self, key):
        return {"w": jax.random.normal(key, ())}

    def initial(self):
        return None

    def labels(self, params):
        return {"w": KERNELS}

    def loader(self, mesh, step):
        return Once(self.config, mesh, step, self.streams)

    def batch(self, keys, data, shape):
        if self.streams:
            return data
        return jax.vmap(lambda key: jax.random.choice(key, data["values"]))(keys)

    def loss(self, params, batch, keys, constants):
        loss = jnp.mean(jnp.square(params["w"] - batch))
        return loss, {"loss": loss}

    def statistics(self, params):
        return {"w": params["w"]}

    def validate(self, params):
        self.validations += 1
        error = abs(float(params["w"]) - 3)
        return {"eval_psnr": -20 * math.log10(error + 1e-9)}, {"grey": np.full((4, 4, 3), 0.5)}

    def check_inputs(self, workdir, *, moved_only=False):
        pass

    def record_inputs(self, workdir):
        pass

    def finished(self, workdir):
        return (workdir / "constant.json").exists()

    def finish(self, workdir):
        (workdir / "constant.json").write_text(
            json.dumps({"step": latest_step(workdir / CHECKPOINTS)})
        )


@pytest.mark.parametrize("streams", [False, True])
def test_a_task_is_an_object(tmp_path, streams):
    config = tiny(
        train__steps=200, train__ema=0.9, train__log_every=10, train__steps_per_dispatch=10,
        train__checkpoint_every=50, train__eval_every=100, optimizer__learning_rate=0.1,
    )  # fmt: skip
    task = Constant(config, streams)
    loop.run(task, config, tmp_path / "straight")
    assert task.validations == 2
    assert json.loads((tmp_path / "straight" / "constant.json").read_text()) == {"step": 200}
    found = rows(tmp_path / "straight" / ROWS)
    assert [row["step"] for row in found] == list(range(10, 201, 10))
    always = {
        "step", "loss", "w", "gradient_norm", "learning_rate", "frequency_learning_rate",
    }  # fmt: skip
    assert all(always == row.keys() - {"eval_psnr"} for row in found)
    assert [row["step"] for row in found if "eval_psnr" in row] == [100, 200]
    assert found[-1]["w"] == pytest.approx(3, abs=0.1)

    before = content(tmp_path / "straight")
    loop.run(task, config, tmp_path / "straight")
    assert content(tmp_path / "straight") == before

    class Stopped(Constant):
        def validate(self, params):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().validate(params)

    for stopping, deadline, step in ((task, 0.0, 10), (Stopped(config, streams), math.inf, 110)):
        with pytest.raises(Interrupted, match=f"stopped at step {step} of 200, saved"):
            loop.train(stopping, config, tmp_path / "stopped", deadline=deadline)
    final = loop.train(task, config, tmp_path / "stopped")
    straight = loop.train(task, config, tmp_path / "straight")  # it is finished: this restores it
    jax.tree.map(np.testing.assert_array_equal, final, straight)
    assert (tmp_path / "stopped" / ROWS).read_bytes() == (tmp_path / "straight" / ROWS).read_bytes()
