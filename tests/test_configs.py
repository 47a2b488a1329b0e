"""Every configuration that comes with the project can be trained."""

import importlib
from pathlib import Path

import jax
import pytest

from inr_sr import models
from inr_sr.studies.experiments.experiment import load
from inr_sr.studies.experiments.runs import identity
from inr_sr.studies.experiments.scoring import HeldOut
from inr_sr.training import requirements
from inr_sr.training.optimizer import make_optimizer

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = [path.stem for path in sorted((ROOT / "configs").glob("*.py")) if path.stem[0] != "_"]
PRESETS = ("lp_small", "lp_large")
EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs" / "experiments").glob("e*.py"))


def check(config):
    """All that is checked before training starts, except files; returns the parameter count."""
    if config.loss.perceptual:
        config.perceptual.weights = "the user's own"
    requirements.check(config)
    model = models.build(config.model)
    shapes = jax.eval_shape(lambda: models.init(model, jax.random.key(0)))
    jax.eval_shape(make_optimizer(config.optimizer, config.train.steps).init, shapes)
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


@pytest.mark.skipif(jax.device_count() > 1, reason="batches are of any number of devices")
@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_can_be_trained(name):
    assert check(importlib.import_module(f"configs.{name}").get_config()) > 1000


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


@pytest.mark.skipif(jax.device_count() > 1, reason="batches are of any number of devices")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_can_be_run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    experiment = load([name])[name]
    for config in experiment.arms.values():
        assert check(config) > 1000
    for scale in experiment.parsed_scales:
        assert HeldOut("embedded").crops(scale, experiment.lr_size)
    trainings = {identity(config, "") for config in experiment.arms.values()}
    assert len(trainings) == len(experiment.arms)
