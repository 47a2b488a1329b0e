"""What the command shows: messages and a bar on stderr, and the summary."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from inr_sr.cli.jobs import Job
from inr_sr.errors import InputError
from inr_sr.files import atomic_path, check_file


def show_path(path: Path) -> None:
    """A path on stdout as the file system has it, whatever stdout's encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + b"\n")
    sys.stdout.buffer.flush()


@contextmanager
def progress(jobs: Sequence[Job]) -> Iterator[Callable[[int, float], None]]:
    """A bar on stderr if that is a terminal; told the picture's number and the fraction done."""
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


def check_summary_path(path: Path, jobs: Sequence[Job]) -> None:
    """Raises InputError unless a summary can be written there without touching a picture."""
    check_file(path)
    taken = {
        os.path.realpath(p) for job in jobs for p in (job.input, job.output, job.output.parent)
    }
    if os.path.realpath(path) in taken:
        raise InputError(f"the summary {path} is one of the pictures or folders; name another file")


def write_summary(path: str, jobs: Sequence[Job], method: str, seconds: float) -> None:
    """The JSON summary of a run, to a file or, for "-", to stdout; see docs/interfaces.md."""
    count = Counter(job.status for job in jobs)
    summary = {
        "method": method,
        **{status: count[status] for status in ("written", "skipped", "failed")},
        "seconds": round(seconds, 3),
        "files": [job.summary() for job in jobs],
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
