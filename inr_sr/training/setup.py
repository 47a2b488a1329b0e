"""What a configuration makes of a training before anything is opened or written."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.data.feed import samplings
from inr_sr.data.samples import Sampling
from inr_sr.devices import make_mesh, place, replicated
from inr_sr.training import state as training_state
from inr_sr.training.adversary import Adversary
from inr_sr.training.optimizer import make_optimizer
from inr_sr.training.perceptual import load_perceptual
from inr_sr.training.state import TrainState
from inr_sr.training.step import Advance, make_advance


@dataclasses.dataclass(frozen=True)
class Stages:
    """The programs of a training's steps: one, and another from where an adversary joins.

    Attributes:
      alone: of the steps before.
      against: of the steps from `joins` on; None without an adversary.
      joins: the first step with the adversary.
    """

    alone: Advance
    against: Advance | None
    joins: int

    def at(self, step: int) -> Advance:
        """The program that runs a step and those up to the next change."""
        return self.against if self.against and step >= self.joins else self.alone

    def changes(self, step: int) -> list[int]:
        """The steps to come at which the program changes."""
        return [self.joins] if self.against and step < self.joins else []


@dataclasses.dataclass(frozen=True)
class Setup:
    """The parts of a training.

    Attributes:
      specs: what its samples look like, see `data.feed.samplings`.
      mesh: the devices.
      stages: the programs of its steps.
      state: before the first step, on the devices.
      features: SHA-256 of the file of the perceptual loss; "" without that loss.
    """

    specs: list[Sampling]
    mesh: Mesh
    stages: Stages
    state: TrainState
    features: str

    @classmethod
    def of(cls, config: ConfigDict, initial: Any | None) -> "Setup":
        """The parts that `config` describes, from `initial` parameters or random ones.

        Raises:
          InputError: a configuration that cannot work, or features that cannot be read.
        """
        specs, mesh = samplings(config), make_mesh()
        model = models.build(config.model, remat=config.train.remat)
        optimizer = make_optimizer(config.optimizer, config.train.steps)
        perceptual = load_perceptual(config, specs[0])
        adversary = Adversary(config, model) if config.adversarial.weight else None
        advance = functools.partial(
            make_advance, config, model, optimizer, specs, mesh, place(perceptual, replicated(mesh))
        )
        against = advance(adversary=adversary) if adversary else None
        key = jax.random.key(config.seed)
        if initial is None:
            initial = models.init(model, key)
        # A key of its own: not that of the parameters, nor of any step.
        opponent = adversary.create(jax.random.fold_in(key, 2**30)) if adversary else None
        state = training_state.create(initial, optimizer, config.seed, opponent)
        return cls(
            specs=specs,
            mesh=mesh,
            stages=Stages(advance(), against, config.adversarial.start),
            state=place(jax.tree.map(np.asarray, state), replicated(mesh)),
            features=perceptual.sha256 if perceptual else "",
        )
