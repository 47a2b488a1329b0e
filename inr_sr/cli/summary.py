"""How images went, and what the command shows of it: paths, a bar, the summary."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from inr_sr.cli.request import Job
from inr_sr.errors import InputError
from inr_sr.files import atomic_path
from inr_sr.sizes import Size, scale_label


@dataclass
class Outcome:
    """How one image went.

    Attributes:
      job: which image.
      status: "written", "skipped" or "failed".
      sizes: (rows, cols) of it and of its result, where they are known.
      seconds: how long it took.
      error: why it failed.
    """

    job: Job
    status: str = "failed"
    sizes: tuple[Size, Size] | None = None
    seconds: float = 0.0
    error: str | None = None

    def summary(self) -> dict[str, object]:
        """For JSON; sizes are [width, height] and the scale is as `eval.py` writes it."""
        fields: dict[str, object] = {
            "input": str(self.job.input),
            "output": str(self.job.output),
            "status": self.status,
        }
        if self.sizes is not None:
            size_in, size_out = self.sizes
            scales = [round(o / i, 5) for i, o in zip(size_in, size_out, strict=True)]
            fields["size_in"], fields["size_out"] = size_in[::-1], size_out[::-1]
            fields["scale"] = scale_label(*scales)
        fields["seconds"] = round(self.seconds, 3)
        return fields if self.error is None else fields | {"error": self.error}


def show_path(path: Path) -> None:
    """A path on stdout as the file system has it, whatever stdout's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + b"\n")
    sys.stdout.buffer.flush()


@contextmanager
def progress(jobs: Sequence[Job]) -> Iterator[Callable[[int, float], None]]:
    """A bar on stderr if that is a terminal; yields a function that moves it.

    Its arguments are the number of an image and the fraction of it that is done.
    """
    if not sys.stderr.isatty():
        yield lambda number, done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        # Only what ends on the same screen may pass through the bar's console, which is stderr.
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task("", total=len(jobs))

        def show(number: int, done: float) -> None:
            count = f" ({number + 1} of {len(jobs)})" if len(jobs) > 1 else ""
            name = jobs[number].input.name.replace("[", r"\[")
            bar.update(task, completed=number + done, description=f"{name}{count}")

        yield show


def write_summary(path: str, outcomes: Sequence[Outcome], method: str, seconds: float) -> None:
    """The JSON summary of a run, to a file or, for "-", to stdout; see docs/interfaces.md."""
    count = Counter(outcome.status for outcome in outcomes)
    summary = {
        "method": method,
        **{status: count[status] for status in ("written", "skipped", "failed")},
        "seconds": round(seconds, 3),
        "files": [outcome.summary() for outcome in outcomes],
    }
    text = json.dumps(summary, indent=2)
    if path == "-":
        print(text)
        return
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the summary {path}: {error.strerror}") from error
