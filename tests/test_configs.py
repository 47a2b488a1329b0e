"""Every configuration that comes with the project can be trained."""

import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inr_sr import models
from inr_sr.config import default, migrated
from inr_sr.models.decoders.spectral import SpectralDecoder
from inr_sr.studies.experiments.experiment import load
from inr_sr.studies.experiments.runs import identity
from inr_sr.studies.experiments.scoring import HeldOut
from inr_sr.training import setup
from inr_sr.training.optimizer import make_optimizer
from inr_sr.training.tasks.super_resolution import SuperResolution

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = [path.stem for path in sorted((ROOT / "configs").glob("*.py")) if path.stem[0] != "_"]
PRESETS = ("lp_small", "lp_large")
EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs" / "experiments").glob("e*.py"))


def check(config):
    """All that is checked before training starts, except files; returns the parameter count."""
    if config.loss.perceptual:
        config.perceptual.weights = "the user's own"
    setup.check(config)
    task = SuperResolution(config)
    shapes = jax.eval_shape(lambda: task.init(jax.random.key(0)))
    optimizer = make_optimizer(config.optimizer, config.train.steps, task.labels)
    jax.eval_shape(optimizer.init, shapes)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


@pytest.mark.skipif(jax.device_count() > 1, reason="batches are of any number of devices")
@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_can_be_trained(name):
    assert check(importlib.import_module(f"configs.{name}").get_config()) > 1000


def test_numbers_that_must_agree_are_one_number():
    """--config.data.max_scale=8 alone trains for x8: bands up to its Nyquist frequency, cells."""
    config = default()
    config.update_from_flattened_dict({"data.max_scale": 8.0, "data.patch": 48})
    config.data.queries = 64
    for name in ("spectral", "modulated"):
        config.model.decoder = name
        decoder = SuperResolution(config).model.decoder
        assert decoder.bands == (1.0, 2.0, 4.0)
        assert decoder.max_scale == 8
    assert (config.model.trained_size, config.model.modulated.lr_size) == (48, 48)
    frequencies = SpectralDecoder.from_config(config.model, jnp.float32, 1)
    params = frequencies.init(jax.random.key(0), jnp.zeros((1, 4, 4, 3)), 0)["params"]
    highest = np.linalg.norm(params["frequencies_2"], axis=-1)
    assert 2 <= highest.min() < highest.max() <= 4
    config.model.spectral.bands = (0.5, 1.0, 2.0)  # set, they follow no longer
    config.data.max_scale = 2.0
    assert config.model.spectral.bands == (0.5, 1.0, 2.0)
    assert config.model.modulated.bands == (0.25, 0.5, 1.0)


def test_configurations_of_earlier_versions_are_migrated():
    """As stored by the first version: names that changed, numbers that did not follow another."""
    old = json.loads(default().to_json())
    old["eval"]["pictures"] = old["eval"].pop("images")
    old["data"] |= {"raw_targets": True, "max_scale": 2.0, "patch": 24}
    old["model"] |= {"decoder": "modulated", "trained_size": 24}
    old["model"]["modulated"] |= {"control": "end_points", "max_scale": 2.0}
    config = default()
    config.update(migrated(old))
    assert config.eval.images == 4
    assert (config.data.targets, config.model.decoder) == ("raw_hr", "end_points")
    assert config.model.spectral.max_scale == config.data.max_scale == 2.0
    assert config.model.trained_size == config.data.patch == 24
    stored = {"encoder": "edsr", "decoder": "spectral", "modulated": {"max_scale": 9.0}}
    assert models.complete(stored).spectral.max_scale == 4.0


def test_the_module_of_before_names_todays():
    with pytest.raises(ImportError, match=r"inr_sr\.configuration is now inr_sr\.config$"):
        importlib.import_module("inr_sr.configuration")


def test_presets_are_what_they_say():
    """The system that the project began with, and the one with every remedy."""
    small, large = (importlib.import_module(f"configs.{n}").get_config() for n in PRESETS)
    for config, expected in (
        (small, (256, 1, 64, "inverse_sigma", (128.0, 32.0), False, "lr", 0.0, 1.0, 32, ())),
        (large, (512, 3, 128, "annulus", (0.5, 1.0, 2.0), True, "hr", 1.0, 0.0, 48, (32, 24))),
    ):
        modulated, data, loss = config.model.modulated, config.data, config.loss
        assert expected == (
            modulated.hidden, modulated.layers, modulated.features, modulated.initialisation,
            modulated.bands, config.model.skip, data.targets, loss.l1, loss.mse, data.patch,
            data.other_patches,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(jax.device_count() > 1, reason="batches are of any number of devices")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_can_be_run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    experiment = load([name])[name]
    for config in experiment.arms.values():
        assert check(config) > 1000
    for scale in experiment.parsed_scales:
        assert HeldOut("embedded").crops(scale, experiment.lr_size)
    runs = {identity(config, "") for config in experiment.arms.values()}
    assert len(runs) == len(experiment.arms)
