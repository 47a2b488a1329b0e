"""On standard error: the parameters of a network, progress of an evaluation and a training run.

Progress is a bar where that is a terminal; a training run prints a line now and then where it is
not.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from inr_sr.devices import PyTree

LINE_EVERY = 30.0  # seconds between lines where no bar can be drawn


@contextmanager
def evaluation_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A bar that goes away at the end; yields a function of (done, total, what was done)."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("evaluating")

        def show(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=f"evaluating {what}")

        yield show


class TrainingProgress:
    """Steps done and left, loss and speed of a training run; of several hosts the first shows it.

    Its clock leaves out compilation (until the first tick) and the seconds given to `exclude`.
    """

    def __init__(self, total: int, step: int, samples_per_step: int):
        self._console = Console(stderr=True, quiet=jax.process_index() > 0)
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("compiling", total=total, completed=step)
        self._total, self._first, self._step = total, step, step
        self._samples, self._ticked = samples_per_step, False
        self._started = self._line = time.monotonic()
        self._bar.start()

    @property
    def samples_per_second(self) -> float:
        """Samples trained on per second since the first tick."""
        seconds = time.monotonic() - self._started
        return (self._step - self._first) * self._samples / max(seconds, 1e-9)

    def tick(self, step: int, values: Mapping[str, float]) -> None:
        """Shows that `step` is done.

        Args:
          step: steps done.
          values: its metrics; "loss" is shown.
        """
        now = time.monotonic()
        if not self._ticked:  # the first stretch was compilation, mostly
            self._ticked, self._first = True, step
            self._started = self._line = now
        self._step = step
        text = f"loss {values['loss']:.4f}  {self.samples_per_second:.0f} samples/s"
        self._bar.update(self._task, completed=step, description=text)
        if not self._console.is_terminal and now - self._line >= LINE_EVERY:
            self._line = now
            pace = (now - self._started) / max(step - self._first, 1)
            left = (self._total - step) * pace / 60
            self.say(f"step {step}/{self._total}  {text}  {left:.0f} min left")

    def say(self, text: str) -> None:
        """Prints a line of text above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def exclude(self, seconds: float) -> None:
        """Takes time spent on something else, such as evaluation, off the clock."""
        self._started += seconds

    def close(self) -> None:
        """Stops the bar and releases the terminal."""
        self._bar.stop()


def show_parameters(params: PyTree, labels: PyTree, discriminator: PyTree | None) -> None:
    """Prints shape, count and optimizer group of every parameter.

    Args:
      params: nested dicts of arrays.
      labels: the optimizer group of each, a tree like `params`.
      discriminator: parameters of an adversary, None without one. It is not part of the network:
        only its parameter count is printed.
    """
    table = Table("parameter", "shape", "count", "optimizer group", box=None)
    rows = jax.tree_util.tree_leaves_with_path(params)
    for (path, value), group in zip(rows, jax.tree.leaves(labels), strict=True):
        name = "/".join(key.key for key in path)
        table.add_row(name, "x".join(map(str, value.shape)), f"{value.size:,}", group)
    table.add_section()
    table.add_row("all", "", f"{sum(value.size for _, value in rows):,}", "")
    if discriminator is not None:
        size = sum(value.size for value in jax.tree.leaves(discriminator))
        table.add_row("adversary, while training only", "", f"{size:,}", "adversarial")
    Console(stderr=True).print(table)
