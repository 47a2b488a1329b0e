"""The training loop: from a configuration and a folder to a model, resumable at any time."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from inr_sr.data.feed import ResidentFeed, StreamFeed, open_feed, training_source
from inr_sr.data.sources import fingerprint
from inr_sr.devices import any_host, explain_out_of_memory
from inr_sr.errors import InputError, InUse
from inr_sr.files import locked
from inr_sr.reporting.progress import TrainingProgress
from inr_sr.training import frequencies
from inr_sr.training.checkpoints import CHECKPOINTS, SCORE, Checkpoints, latest_step
from inr_sr.training.gradients import Metrics
from inr_sr.training.journal import Journal
from inr_sr.training.requirements import check
from inr_sr.training.setup import Setup, Stages
from inr_sr.training.state import TrainState
from inr_sr.training.stopping import Interrupted, StopRequest
from inr_sr.training.summary import show_parameters
from inr_sr.training.workdir import agree, agree_perceptual, agree_pictures, check_layout, store

# validate(parameters) -> (numbers for the journal, SCORE among them; pictures by name)
Validate = Callable[[Any], tuple[dict[str, float], dict[str, np.ndarray]]]


class NotFinite(Exception):
    """The loss was no longer a finite number."""


_LESS_MEMORY = "lower train.batch_size, raise train.accumulate, or set data.mode = streaming"


def _next_stop(step: int, train: ConfigDict, stages: Stages) -> int:
    """The step at which the host must look next: where something is due, or the dispatch ends."""
    due = [step + train.steps_per_dispatch, train.steps, *stages.changes(step)]
    due += [
        (step // every + 1) * every
        for every in (train.checkpoint_every, train.eval_every, train.log_every)
    ]
    return min(due)


@contextmanager
def _alone(workdir: Path, step: int) -> Iterator[None]:
    """Keeps other jobs out; InUse on all hosts where one is there, or went on from `step`."""
    with ExitStack() as held:
        refusal: InputError | None = None
        if jax.process_index() == 0:
            try:
                held.enter_context(locked(workdir))
                if (latest_step(workdir / CHECKPOINTS) or 0) != step:
                    refusal = InUse(f"{workdir} was in use by another process until just now")
            except InputError as error:
                refusal = error
        if any_host(refusal is not None):
            raise refusal or InUse(f"{workdir} is in use by another process")
        yield


def train(
    config: ConfigDict,
    workdir: Path,
    validate: Validate,
    initial: Any | None = None,
    *,
    deadline: float = math.inf,
) -> TrainState:
    """Trains, or goes on training, until `config.train.steps`.

    Args:
      config: a full configuration; it is stored in `workdir`.
      workdir: the folder for everything this training writes.
      validate: called every `train.eval_every` steps and at the end with the averaged parameters.
      initial: parameters to start from instead of random ones.
      deadline: reading of time.monotonic after which to stop as if asked to.

    Returns:
      The final state.

    Raises:
      InputError: a configuration or pictures that cannot work, or a workdir of another training;
        nothing has been written then; also one that another process trains in.
      Interrupted: Ctrl-C, SIGTERM or the deadline; the state is saved.
      NotFinite: loss or gradient became NaN or infinite; the last checkpoint before that stays.
      MemoryError: a batch, or all pictures at once, are too much for a device.
    """
    check(config)
    setup = Setup.of(config, initial)
    check_layout(workdir)
    step = latest_step(workdir / CHECKPOINTS) or 0
    if step:  # before the first checkpoint there is nothing that another request could spoil
        agree(workdir, config)
        agree_perceptual(workdir, setup.features)
    if step >= config.train.steps:
        with closing(Checkpoints(workdir / CHECKPOINTS, read_only=True)) as checkpoints:
            return checkpoints.restore(setup.state)
    source = training_source(config)
    pictures = fingerprint(source)
    if step:
        agree_pictures(workdir, config, pictures)
    with ExitStack() as opened:
        opened.enter_context(explain_out_of_memory(_LESS_MEMORY))
        feed = open_feed(config, source, setup.specs[0], setup.mesh, step)
        opened.enter_context(closing(feed))
        lead = jax.process_index() == 0
        opened.enter_context(_alone(workdir, step))
        state, checkpoints = _begun(opened, config, workdir, setup, pictures, step)
        journal = opened.enter_context(closing(Journal(workdir, step))) if lead else None
        progress = TrainingProgress(config.train.steps, step, config.train.batch_size)
        opened.enter_context(closing(progress))
        run = _Run(config.train, setup.stages, feed, validate, checkpoints, journal, progress)
        return run.until_done(state, opened.enter_context(StopRequest(deadline)))


def _begun(
    opened: ExitStack, config: ConfigDict, workdir: Path, setup: Setup, pictures: str, step: int
) -> tuple[TrainState, Checkpoints]:
    """The state to go on from, and the checkpoints; `workdir` says from now on what it holds."""
    lead = jax.process_index() == 0
    if lead and not step:
        store(workdir, config, pictures, setup.features)
        frequencies.record(workdir, setup.state.params)
    checkpoints = opened.enter_context(closing(Checkpoints(workdir / CHECKPOINTS)))
    if not step:
        if lead:
            adversary = setup.state.adversary
            show_parameters(setup.state.params, adversary.params if adversary else None)
        return setup.state, checkpoints
    state = checkpoints.restore(setup.state)
    if lead:  # only now that it can go on
        store(workdir, config, pictures, setup.features)
    return state, checkpoints


@dataclasses.dataclass
class _Run:
    """The collaborators of one training, and the loop over them."""

    train: ConfigDict
    stages: Stages
    feed: ResidentFeed | StreamFeed
    validate: Validate
    checkpoints: Checkpoints
    journal: Journal | None
    progress: TrainingProgress
    _unread: tuple[int, Metrics] | None = None  # a step, and its metrics still on the device

    def until_done(self, state: TrainState, stop: StopRequest) -> TrainState:
        """Runs to the last step, or raises Interrupted after saving."""
        step = int(state.step)
        while step < self.train.steps:
            stretch = _next_stop(step, self.train, self.stages) - step
            state, metrics = self.stages.at(step)(state, self.feed.take(stretch), stretch)
            # Metrics are read one dispatch late, so that the device never waits for the host.
            self._read()
            step += stretch
            self._unread = (step, metrics)
            last = step == self.train.steps
            stopping = not last and stop.agreed()  # the last step is judged and saved anyway
            judged = last or step % self.train.eval_every == 0
            if stopping or judged or step % self.train.checkpoint_every == 0:
                score = self._look(state, judged)
                self.checkpoints.save(state, step, score)
            if stopping:
                break
        self.checkpoints.wait()
        if stop.agreed():
            raise Interrupted(f"stopped at step {step} of {self.train.steps}, saved")
        return state

    def _look(self, state: TrainState, judged: bool) -> float | None:
        """Reads what is unread; where `judged`, validates too and returns the score."""
        if not judged:
            self._read()
            return None
        step, numbers = self._fetch()
        began = time.monotonic()
        found, pictures = self.validate(state.ema)
        self.progress.exclude(time.monotonic() - began)
        self._note(step, {**numbers, **found}, due=True)
        if self.journal:
            for name, picture in pictures.items():
                self.journal.picture(step, name, picture)
        self.progress.say(f"step {step}: {SCORE} {found[SCORE]:.2f} dB")
        return found[SCORE]

    def _read(self) -> None:
        """Deals with the metrics of the dispatch before, if there was one."""
        if self._unread is not None:
            step, numbers = self._fetch()
            self._note(step, numbers, step == self.train.steps or step % self.train.log_every == 0)

    def _fetch(self) -> tuple[int, dict[str, float]]:
        """Brings the unread metrics to the host, and stops on NaN."""
        assert self._unread is not None
        step, metrics = self._unread
        self._unread = None
        numbers = {name: float(value) for name, value in metrics.items()}
        # A gradient spoils the parameters before the loss.
        for name, section in (
            ("loss", "optimizer"),
            ("gradient_norm", "optimizer"),
            ("adversary_gradient_norm", "adversarial"),
        ):
            if not math.isfinite(numbers.get(name, 0.0)):
                raise NotFinite(
                    f"{name} is {numbers[name]} at step {step}; the last checkpoint is from step "
                    f"{max(self.checkpoints.steps(), default=0)}. Try a lower "
                    f"{section}.learning_rate"
                )
        return step, numbers

    def _note(self, step: int, numbers: dict[str, float], due: bool) -> None:
        """Moves the bar and, where a row is `due`, writes it."""
        self.progress.tick(step, numbers)
        if self.journal and due:
            self.journal.write(step, numbers)
            self.journal.speed(step, self.progress.samples_per_second)
