"""What a run needs before its first step: a valid configuration, programs, an initial state."""

import dataclasses
import functools
from typing import cast

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from inr_sr.devices import make_mesh, place, replicated
from inr_sr.errors import InputError
from inr_sr.models.parts import Labels, Params
from inr_sr.training import adversary as adversaries
from inr_sr.training import optimizer as optimizers
from inr_sr.training import state as training_state
from inr_sr.training.adversary import Adversary
from inr_sr.training.state import TrainState
from inr_sr.training.step import Advance, make_advance
from inr_sr.training.task import PatchTask, Task


def default_config() -> ConfigDict:
    """The `train` section of a configuration."""
    config = ConfigDict()
    config.steps = 1000  # optimizer updates
    config.batch_size = 16  # LR patches per step, all devices together
    config.accumulate = 1  # slices of a batch, whose gradients are accumulated to save memory
    # Gradient checkpointing of the encoder's blocks: less memory, a third more time. On a CPU it
    # changes nothing.
    config.remat = False
    # Steps per dispatch at most; a dispatch also ends at each log_every.
    config.steps_per_dispatch = 10
    config.ema = 0.999  # decay of the averaged parameters that are validated and kept
    config.log_every = 10  # steps between rows of metrics.jsonl, at most 10
    config.checkpoint_every = 500  # steps between checkpoints
    config.eval_every = 500  # steps between validations
    return config


def check(config: ConfigDict) -> None:
    """Checks what every task needs; opens no file.

    Raises:
      InputError: naming the field, its value and what is allowed.
    """
    train = config.train
    for name in (
        "steps", "batch_size", "accumulate", "steps_per_dispatch",
        "log_every", "checkpoint_every", "eval_every",
    ):  # fmt: skip
        if train[name] < 1:
            raise InputError(f"train.{name} {train[name]} must be at least 1")
    if not -(2**63) <= config.seed < 2**63:
        raise InputError(f"seed {config.seed} must be an integer of 64 bits")
    if train.log_every > 10:
        raise InputError(
            f"train.log_every {train.log_every} must be at most 10: scripts rely on it"
        )
    if not 0 <= train.ema < 1:
        raise InputError(f"train.ema {train.ema} must be at least 0 and below 1")
    share = train.accumulate * jax.device_count()
    if train.batch_size % share:
        raise InputError(
            f"train.batch_size {train.batch_size} must be a multiple of train.accumulate "
            f"{train.accumulate} times the number of devices {jax.device_count()}"
        )
    adversaries.check(config)
    optimizers.schedules(config.optimizer, train.steps)
    optimizers.check(config.optimizer)


@dataclasses.dataclass(frozen=True)
class Stages:
    """The programs of a run's steps: one without and one with an adversary.

    Attributes:
      alone: runs steps without the adversary.
      adversarial: runs steps from `start` on; None if there is no adversary.
      start: the first step with the adversary.
    """

    alone: Advance
    adversarial: Advance | None
    start: int

    def at(self, step: int) -> Advance:
        """The program of a step."""
        return self.adversarial if self.adversarial and step >= self.start else self.alone

    def changes(self, step: int) -> list[int]:
        """The steps after `step` at which the program changes."""
        return [self.start] if self.adversarial and step < self.start else []


@dataclasses.dataclass(frozen=True)
class Setup:
    """The parts of a run.

    Attributes:
      mesh: the devices.
      stages: the programs of its steps.
      state: the state before the first step, on the devices.
      labels: the optimizer group of each parameter.
    """

    mesh: Mesh
    stages: Stages
    state: TrainState
    labels: Labels

    @classmethod
    def of(cls, task: Task, config: ConfigDict, initial: Params | None) -> "Setup":
        """The parts of a run of `task`.

        Args:
          task: what is trained.
          config: a full configuration.
          initial: parameters to start from; None: those of `task.init`.

        Raises:
          InputError: a file of the task's constants cannot be read.
        """
        mesh = make_mesh()
        optimizer = optimizers.make_optimizer(config.optimizer, config.train.steps, task.labels)
        adversary = None
        if config.adversarial.weight:
            adversary = Adversary(config, cast(PatchTask, task))
        constants = place(task.constants, replicated(mesh))
        advance = functools.partial(
            make_advance, config, task, optimizer, mesh, constants=constants
        )
        adversarial = advance(adversary=adversary) if adversary else None
        key = jax.random.key(config.seed)
        if initial is None:
            initial = task.init(key)
        # A key that neither the parameters nor any step uses.
        adversary_state = adversary.create(jax.random.fold_in(key, 2**30)) if adversary else None
        state = training_state.create(initial, optimizer, config.seed, adversary_state)
        return cls(
            mesh=mesh,
            stages=Stages(advance(), adversarial, config.adversarial.start),
            state=place(jax.tree.map(np.asarray, state), replicated(mesh)),
            labels=task.labels(initial),
        )
