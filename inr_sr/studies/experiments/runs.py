"""The trainings of an experiment: an arm with a seed each, in folders that experiments share."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.configuration import default
from inr_sr.data.feed import training_source
from inr_sr.data.sources import fingerprint, is_folder
from inr_sr.errors import InputError
from inr_sr.reporting.machine import describe_hardware
from inr_sr.studies.experiments.experiment import Experiment
from inr_sr.studies.experiments.record import Record, read_record
from inr_sr.training.checkpoints import CHECKPOINTS, latest_step
from inr_sr.training.loop import NotFinite, Validate, train
from inr_sr.training.requirements import check
from inr_sr.training.stopping import Interrupted
from inr_sr.training.workdir import FREE, agree, fields

RUNS = "runs"


@dataclass(frozen=True)
class Run:
    """A training: an arm of an experiment with one seed."""

    arm: str
    seed: int
    config: ConfigDict
    folder: Path

    @property
    def step(self) -> int:
        """Steps done and saved."""
        return latest_step(self.folder / CHECKPOINTS) or 0

    @property
    def record(self) -> Record | None:
        """What it cost so far."""
        return read_record(self.folder)

    @property
    def finished(self) -> bool:
        """Whether it is trained to its end."""
        return self.record is not None and self.step >= self.config.train.steps

    @property
    def failure(self) -> str:
        """Why it will never be finished, or ""."""
        return self.record.failure if self.record else ""

    @property
    def left(self) -> bool:
        """Whether there is something to train."""
        return not (self.finished or self.failure)

    def train(self, validate: Validate, deadline: float = math.inf) -> None:
        """Trains, or goes on, to the end; a loss that is not finite becomes the record's failure.

        Raises:
          InputError: the folder holds another training.
          Interrupted: Ctrl-C, SIGTERM or the deadline; the state is saved.
        """
        timed = _Timed(self.record or _fresh_record(self.config), self.folder, validate)
        try:
            train(self.config, self.folder, timed, deadline=deadline)
        except NotFinite as error:
            timed.record.failure = str(error)
        except Interrupted:
            timed.write()
            raise
        timed.write()


class _Timed:
    """A validation that keeps the record, and whose own time does not count."""

    def __init__(self, record: Record, folder: Path, validate: Validate) -> None:
        self.record = record
        self._folder, self._validate = folder, validate
        self._since = time.monotonic()

    def __call__(self, params: Any) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        self.write()
        found = self._validate(params)
        self._since = time.monotonic()
        return found

    def write(self) -> None:
        now = time.monotonic()
        self.record.seconds += now - self._since
        self._since = now
        self.record.write(self._folder)


def _fresh_record(config: ConfigDict) -> Record:
    shapes = jax.eval_shape(lambda: models.init(models.build(config.model), jax.random.key(0)))
    counts = {name: sum(x.size for x in jax.tree.leaves(part)) for name, part in shapes.items()}
    return Record(counts["encoder"], counts["decoder"], describe_hardware())


def plan(experiment: Experiment, workdir: Path, train_on: str = "") -> list[Run]:
    """All trainings of an experiment: every arm with the first seed, then with the next.

    Args:
      experiment: whose arms they are.
      workdir: holds a folder for each training, which experiments share.
      train_on: pictures, in place of those that the configurations name; see
        `open_source`.

    Raises:
      InputError: a configuration that cannot work, pictures that are not there, or a folder of
        another training; nothing is written.
    """
    pictures: dict[str, str] = {}
    runs = []
    for seed in experiment.seeds:
        for arm, config in experiment.arms.items():
            if seed in experiment.seeds_of(arm):
                try:
                    runs.append(_run(arm, seed, config, workdir, train_on, pictures))
                except InputError as error:
                    raise InputError(f"arm {arm!r}: {error}") from error
    return runs


def _run(
    arm: str, seed: int, config: ConfigDict, workdir: Path, train_on: str, pictures: dict[str, str]
) -> Run:
    """One training; `pictures` holds the fingerprints of the sources that were looked at."""
    config = configured(config, seed, train_on)
    check(config)
    source = json.dumps([config.data.folder, config.data.dataset, config.data.split])
    if source not in pictures:
        pictures[source] = fingerprint(training_source(config))
    run = Run(arm, seed, config, workdir / RUNS / identity(config, pictures[source]))
    if run.step:
        agree(run.folder, config)
    return run


def configured(config: ConfigDict, seed: int, train_on: str) -> ConfigDict:
    """The configuration of one training of an arm, on pictures other than its own if any."""
    config = config.copy_and_resolve_references()
    config.seed = seed
    if train_on and is_folder(train_on):
        config.data.folder = train_on
    elif train_on:
        config.data.folder, config.data.dataset = "", train_on
    # The record is written where the averaged parameters are looked at: with each checkpoint.
    config.train.eval_every = config.train.checkpoint_every
    return config


def identity(config: ConfigDict, pictures: str) -> str:
    """Name of the folder of a training: equal ones meet in it, whatever experiment they are of.

    It tells apart all fields but those that may change when a training is resumed. Only what
    differs from the defaults is part of it, so that a field that is new to the configuration does
    not disown every training before; a default that changes is found by `workdir.agree`.

    Args:
      config: complete.
      pictures: fingerprint of those trained on, wherever they lie.
    """
    usual = fields(default())
    chosen: Mapping[str, Any] = {
        name: value
        for name, value in fields(config).items()
        if not name.startswith(FREE) and (name == "seed" or value != usual[name])
    }
    named = {"pictures": pictures, "folder": bool(config.data.folder), **chosen}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16]


def seconds_left(runs: list[Run]) -> float | None:
    """About how long the training of what is left will take; None while nothing tells.

    A run takes as long per step as those of its arm did, or else as the others.
    """
    paces: dict[str, list[float]] = {}
    for run in runs:
        record = run.record
        if record is not None and run.step and record.seconds > 0:
            paces.setdefault(run.arm, []).append(record.seconds / run.step)
    overall = [pace for own in paces.values() for pace in own]
    total = 0.0
    for run in runs:
        if run.left:
            known = paces.get(run.arm, overall)
            if not known:
                return None
            total += (run.config.train.steps - run.step) * sum(known) / len(known)
    return total
