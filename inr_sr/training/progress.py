"""How a training shows itself: a bar with the time left, or lines where there is no terminal.

All of it on standard error, and of several hosts only the first shows anything.
"""

import time
from collections.abc import Mapping

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY = 30.0  # seconds between lines where no bar can be drawn


class TrainingProgress:
    """Steps done and left, loss and speed.

    Its clock leaves out compilation (until the first tick) and what `exclude` is told of.
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
        """LR patches trained on per second since the first tick."""
        seconds = time.monotonic() - self._started
        return (self._step - self._first) * self._samples / max(seconds, 1e-9)

    def tick(self, step: int, values: Mapping[str, float]) -> None:
        """Shows that `step` is done."""
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
        """A line of text above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def exclude(self, seconds: float) -> None:
        """Takes time spent on something else, such as evaluation, off the clock."""
        self._started += seconds

    def close(self) -> None:
        """Removes the bar's hold on the terminal."""
        self._bar.stop()
