"""The runs of an experiment: an arm with a seed each, in folders that experiments share."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
from ml_collections import ConfigDict

from inr_sr.config import default
from inr_sr.data.sources import fingerprint, is_folder
from inr_sr.errors import InputError
from inr_sr.files import atomic_path
from inr_sr.models import Params
from inr_sr.reporting.machine import describe_hardware
from inr_sr.studies.experiments.experiment import Experiment
from inr_sr.training.checkpoints import CHECKPOINTS, latest_step
from inr_sr.training.loop import Interrupted, NotFinite, train
from inr_sr.training.setup import check
from inr_sr.training.task import Validated
from inr_sr.training.tasks.super_resolution import SuperResolution
from inr_sr.training.workdir import CHANGEABLE, check_same_run, fields

RUNS = "runs"

Validate = Callable[[Params], Validated]
RECORD = "record.json"


@dataclass
class Record:
    """The cost of a run and whether it failed; kept in its folder, written as it trains.

    Attributes:
      encoder, decoder: parameter counts.
      hardware: that it was trained on.
      seconds: wall time over all starts, with compilation, without validation. Steps that a kill
        undid are counted once, to within a checkpoint.
      failure: why it cannot be finished; "" if it can.
    """

    encoder: int
    decoder: int
    hardware: str
    seconds: float = 0.0
    failure: str = ""

    def write(self, folder: Path) -> None:
        """Writes the record atomically."""
        with atomic_path(folder / RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> Record | None:
    """The record of a run, or None before it has one.

    Raises:
      InputError: it cannot be read.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


@dataclass(frozen=True)
class Run:
    """A training run: an arm of an experiment with one seed."""

    arm: str
    seed: int
    task: SuperResolution
    folder: Path

    @property
    def config(self) -> ConfigDict:
        """Its configuration."""
        return self.task.config

    @property
    def step(self) -> int:
        """Steps trained and saved."""
        return latest_step(self.folder / CHECKPOINTS) or 0

    @property
    def record(self) -> Record | None:
        """The cost of the run so far."""
        return read_record(self.folder)

    @property
    def finished(self) -> bool:
        """Whether it is trained to the end."""
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
        """Trains to the end, or resumes; a loss that is not finite becomes the record's failure.

        Raises:
          InputError: the folder holds another training run.
          Interrupted: Ctrl-C, SIGTERM or the deadline; the state is saved.
        """
        timed = _Timed(self.record or _new_record(self.task), self.folder, validate)
        try:
            task = self.task.validated_by(timed)
            train(task, self.config, self.folder, deadline=deadline)
        except NotFinite as error:
            timed.record.failure = str(error)
        except Interrupted:
            timed.write()
            raise
        timed.write()


class _Timed:
    """A validation that writes the record each time, and leaves its own time out of it."""

    def __init__(self, record: Record, folder: Path, validate: Validate) -> None:
        self.record = record
        self._folder, self._validate = folder, validate
        self._since = time.monotonic()

    def __call__(self, params: Params) -> Validated:
        self.write()
        found = self._validate(params)
        self._since = time.monotonic()
        return found

    def write(self) -> None:
        now = time.monotonic()
        self.record.seconds += now - self._since
        self._since = now
        self.record.write(self._folder)


def _new_record(task: SuperResolution) -> Record:
    shapes = jax.eval_shape(lambda: task.init(jax.random.key(0)))
    counts = {name: sum(x.size for x in jax.tree.leaves(part)) for name, part in shapes.items()}
    return Record(counts["encoder"], counts["decoder"], describe_hardware())


def plan(experiment: Experiment, workdir: Path, train_on: str = "") -> list[Run]:
    """All runs of an experiment: every arm with the first seed, then with the next.

    Args:
      experiment: whose arms they are.
      workdir: holds a folder for each run, which experiments share.
      train_on: images in place of those that the configurations name; see `open_source`.

    Raises:
      InputError: a configuration that cannot work, images that are not there, or a folder of
        another training run; nothing is written.
    """
    fingerprints: dict[str, str] = {}
    runs = []
    for seed in experiment.seeds:
        for arm, config in experiment.arms.items():
            if seed in experiment.seeds_of(arm):
                try:
                    runs.append(_run(arm, seed, config, workdir, train_on, fingerprints))
                except InputError as error:
                    raise InputError(f"arm {arm!r}: {error}") from error
    return runs


def _run(
    arm: str,
    seed: int,
    config: ConfigDict,
    workdir: Path,
    train_on: str,
    fingerprints: dict[str, str],
) -> Run:
    """One run; `fingerprints` caches those of the sources."""
    config = configured(config, seed, train_on)
    check(config)
    task = SuperResolution(config)
    source = json.dumps([config.data.folder, config.data.dataset, config.data.split])
    if source not in fingerprints:
        fingerprints[source] = fingerprint(task.source)
    run = Run(arm, seed, task, workdir / RUNS / identity(config, fingerprints[source]))
    if run.step:
        check_same_run(run.folder, config)
    return run


def configured(config: ConfigDict, seed: int, train_on: str) -> ConfigDict:
    """The configuration of an arm with a seed, on other images than its own if any are named."""
    config = config.copy_and_resolve_references()
    config.seed = seed
    if train_on and is_folder(train_on):
        config.data.folder = train_on
    elif train_on:
        config.data.folder, config.data.dataset = "", train_on
    # The record is written at each validation, so validate with each checkpoint.
    config.train.eval_every = config.train.checkpoint_every
    return config


FOLLOWING_LATER = ("model.modulated.lr_size",)
"""Fields that had their default in earlier runs, and follow the data today."""


def identity(config: ConfigDict, images: str) -> str:
    """Name of the folder of a run: a hash, so that equal runs of several experiments share it.

    It covers all fields except those that may change on resuming. Only values that differ from the
    defaults are part of it, so that a new field of the configuration leaves the names of earlier
    runs as they are, and fields have the names they had then; `workdir.check_same_run` finds a
    default that changed.

    Args:
      config: complete.
      images: fingerprint of the images trained on, wherever they are stored.
    """
    usual = fields(default())
    chosen: dict[str, object] = {
        name: value
        for name, value in fields(config).items()
        if not name.startswith((*CHANGEABLE, *FOLLOWING_LATER))
        and (name == "seed" or value != usual[name])
    }
    if chosen.get("data.targets") == "raw_hr":
        del chosen["data.targets"]
        chosen["data.raw_targets"] = True
    decoder = chosen.get("model.decoder")
    if decoder in ("end_points", "raster_distance"):
        chosen |= {"model.decoder": "modulated", "model.modulated.control": decoder}
    # "pictures": the key is part of the hash, and so of the names of folders that exist.
    named = {"pictures": images, "folder": bool(config.data.folder), **chosen}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16]


def seconds_left(runs: list[Run]) -> float | None:
    """Estimated seconds to train all that is left; None before any run has begun.

    Seconds per step are the mean over runs of the same arm, or else over all runs.
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
