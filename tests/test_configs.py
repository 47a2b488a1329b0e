"""Every configuration that comes with the project can be trained."""

import importlib
from pathlib import Path

import jax
import pytest

from inr_sr import models
from inr_sr.experiments import catalogue
from inr_sr.experiments.runs import identity
from inr_sr.training import requirements
from inr_sr.training.optimizer import make_optimizer

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = [path.stem for path in sorted((ROOT / "configs").glob("*.py")) if path.stem[0] != "_"]
EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs" / "experiments").glob("e*.py"))


def check(config):
    """All that is checked before a training begins, but for its files; how many parameters."""
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


@pytest.mark.skipif(jax.device_count() > 1, reason="batches are of any number of devices")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_can_be_run(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    experiment = catalogue.load([name])[name]
    for config in experiment.arms.values():
        assert check(config) > 1000
    trainings = {identity(config, "") for config in experiment.arms.values()}
    assert len(trainings) == len(experiment.arms)
