"""The training loop: steps, validation and checkpoints of a run that resumes bit-identically."""

import dataclasses
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import jax
from ml_collections import ConfigDict

from inr_sr.data.loaders import Loader
from inr_sr.devices import any_host, explain_out_of_memory
from inr_sr.errors import InputError, InUse
from inr_sr.files import locked
from inr_sr.reporting.progress import TrainingProgress, show_parameters
from inr_sr.training import frequencies
from inr_sr.training.checkpoints import CHECKPOINTS, Checkpoints, latest_step
from inr_sr.training.metric_writer import MetricWriter
from inr_sr.training.setup import Setup, Stages, check
from inr_sr.training.state import TrainState
from inr_sr.training.task import SCORE, Metrics, Task
from inr_sr.training.workdir import check_layout, check_same_run, store_config


class NotFinite(Exception):
    """The loss or a gradient became NaN or infinite."""


class Interrupted(Exception):
    """The run was stopped before its last step; its state is saved."""


_LESS_MEMORY = "lower train.batch_size, raise train.accumulate, or set data.mode = streaming"


def train(
    task: Task, config: ConfigDict, workdir: Path, *, deadline: float = math.inf
) -> TrainState:
    """Trains, or resumes training, until `config.train.steps`.

    Args:
      task: what is trained.
      config: a full configuration; it is stored in `workdir`.
      workdir: the run's work folder, for all files that it writes.
      deadline: time.monotonic() at which to save and stop, as on Ctrl-C.

    Returns:
      The final state.

    Raises:
      InputError: a configuration or files that cannot work, or a workdir of another run; nothing
        has been written.
      InUse: another process trains in workdir.
      Interrupted: Ctrl-C, SIGTERM or the deadline; the state is saved.
      NotFinite: loss or gradient became NaN or infinite; the last checkpoint stays.
      MemoryError: a batch, or all images at once, do not fit a device.
    """
    check(config)
    check_layout(workdir)
    step = latest_step(workdir / CHECKPOINTS) or 0
    setup = Setup.of(task, config, None if step else task.initial())
    if step:  # before the first checkpoint another configuration may take the folder over
        check_same_run(workdir, config)
        task.check_inputs(workdir, moved_only=step >= config.train.steps)
    if step >= config.train.steps:
        with closing(Checkpoints(workdir / CHECKPOINTS, read_only=True)) as checkpoints:
            return checkpoints.restore(setup.state)
    with ExitStack() as opened:
        opened.enter_context(explain_out_of_memory(_LESS_MEMORY))
        loader = opened.enter_context(closing(task.loader(setup.mesh, step)))
        first_host = jax.process_index() == 0
        opened.enter_context(_exclusive(workdir, step))
        state, checkpoints = _start_or_resume(opened, task, config, workdir, setup, step)
        writer = opened.enter_context(closing(MetricWriter(workdir, step))) if first_host else None
        progress = TrainingProgress(config.train.steps, step, config.train.batch_size)
        opened.enter_context(closing(progress))
        loop = _Loop(config.train, setup.stages, task, loader, checkpoints, writer, progress)
        return loop.until_done(state, opened.enter_context(StopRequest(deadline)))


def run(task: Task, config: ConfigDict, workdir: Path) -> None:
    """Trains to the end and finishes; leaves a finished run as it is.

    Raises:
      InputError, Interrupted, NotFinite, MemoryError: see `train`.
    """
    if task.finished(workdir):
        check_same_run(workdir, config)
        task.check_inputs(workdir, moved_only=True)
        print(f"{workdir} is finished already; eval.py evaluates it again", file=sys.stderr)
        return
    train(task, config, workdir)
    if jax.process_index() == 0:
        task.finish(workdir)


@contextmanager
def _exclusive(workdir: Path, step: int) -> Iterator[None]:
    """Locks `workdir`.

    Raises:
      InUse: on all hosts, if another job holds it, or has trained there beyond `step`.
    """
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


def _start_or_resume(
    opened: ExitStack, task: Task, config: ConfigDict, workdir: Path, setup: Setup, step: int
) -> tuple[TrainState, Checkpoints]:
    """The state to continue from, and the checkpoints; records the run in `workdir`."""
    first_host = jax.process_index() == 0
    if first_host and not step:
        store_config(workdir, config)
        task.record_inputs(workdir)
        frequencies.record(workdir, setup.state.params, setup.labels)
    checkpoints = opened.enter_context(closing(Checkpoints(workdir / CHECKPOINTS)))
    if not step:
        if first_host:
            adversary = setup.state.adversary
            discriminator = adversary.params if adversary else None
            show_parameters(setup.state.params, setup.labels, discriminator)
        return setup.state, checkpoints
    state = checkpoints.restore(setup.state)
    if first_host:  # only once the checkpoint could be restored
        store_config(workdir, config)
        task.record_inputs(workdir)
    return state, checkpoints


def _next_stop(step: int, train: ConfigDict, stages: Stages) -> int:
    """The step that ends the next dispatch: its longest, or one at which something is due."""
    due: list[int] = [step + train.steps_per_dispatch, train.steps, *stages.changes(step)]
    due += [
        (step // every + 1) * every
        for every in (train.checkpoint_every, train.eval_every, train.log_every)
    ]
    return min(due)


@dataclasses.dataclass
class _Loop:
    """The loop over the steps of one run."""

    train: ConfigDict
    stages: Stages
    task: Task
    loader: Loader
    checkpoints: Checkpoints
    writer: MetricWriter | None
    progress: TrainingProgress
    _unread: tuple[int, Metrics] | None = None  # a step and its metrics, still on the device

    def until_done(self, state: TrainState, stop: "StopRequest") -> TrainState:
        """Runs to the last step; saves and raises Interrupted on a stop request."""
        step = int(state.step)
        while step < self.train.steps:
            count = _next_stop(step, self.train, self.stages) - step
            state, metrics = self.stages.at(step)(state, self.loader.take(count), count)
            # Metrics are read one dispatch late, so that the device never waits for the host.
            self._read()
            step += count
            self._unread = (step, metrics)
            last = step == self.train.steps
            # The last step is validated and saved anyway.
            stopping = not last and stop.on_any_host()
            validating = last or step % self.train.eval_every == 0
            if stopping or validating or step % self.train.checkpoint_every == 0:
                score = self._validated(state) if validating else None
                self._read()
                self.checkpoints.save(state, step, score)
            if stopping:
                break
        self.checkpoints.wait()
        if stop.on_any_host():
            raise Interrupted(f"stopped at step {step} of {self.train.steps}, saved")
        return state

    def _validated(self, state: TrainState) -> float:
        """Reads the metrics, validates the averaged parameters, and returns the score."""
        step, numbers = self._fetch()
        began = time.monotonic()
        found, images = self.task.validate(state.ema)
        self.progress.exclude(time.monotonic() - began)
        self._log(step, {**numbers, **found}, due=True)
        if self.writer:
            for name, image in images.items():
                self.writer.image(step, name, image)
        self.progress.say(f"step {step}: {SCORE} {found[SCORE]:.2f} dB")
        return found[SCORE]

    def _read(self) -> None:
        """Logs the metrics of the previous dispatch, unless that was done."""
        if self._unread is not None:
            step, numbers = self._fetch()
            self._log(step, numbers, step == self.train.steps or step % self.train.log_every == 0)

    def _fetch(self) -> tuple[int, dict[str, float]]:
        """Moves the unread metrics to the host; raises NotFinite."""
        assert self._unread is not None
        step, metrics = self._unread
        self._unread = None
        numbers = {name: float(value) for name, value in metrics.items()}
        # A gradient that is not finite ruins the parameters one step before the loss shows it.
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

    def _log(self, step: int, numbers: dict[str, float], due: bool) -> None:
        """Advances the progress bar and, where a row is `due`, writes it."""
        self.progress.tick(step, numbers)
        if self.writer and due:
            self.writer.write(step, numbers)
            self.writer.speed(step, self.progress.samples_per_second)


class StopRequest:
    """Ctrl-C, SIGTERM or a deadline, on which the loop stops between two dispatches.

    A second Ctrl-C raises KeyboardInterrupt at once.

    Args:
      deadline: time.monotonic() from which the loop stops.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.requested = False
        self._deadline = deadline
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if number == signal.SIGINT:
            # Not print: a handler may run in the middle of another one.
            os.write(2, b"\nstopping after this step; Ctrl-C again stops without saving\n")
        self.requested = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_any_host(self) -> bool:
        """Whether any host has a request: all must stop at the same step."""
        return any_host(self.requested or time.monotonic() >= self._deadline)
