"""What all benchmarks share: rounds of timings, tables, and the command line."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax

from inr_sr.files import atomic_path
from inr_sr.reporting.machine import describe_machine

SHORT = 0.5  # seconds
WARMING = 1

Name = TypeVar("Name", bound=Hashable)
"""Of a piece of work."""
Work = Callable[[], object]
"""A piece of work; what it returns is waited for."""
Result = dict[str, Any]
"""A measurement as JSON holds it."""


def seconds(work: Work) -> float:
    """How long `work` takes until its result is there."""
    began = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - began


def rounds(works: Mapping[Name, Work], count: int) -> dict[Name, list[float]]:
    """Seconds of each piece of work in `count` rounds.

    They take turns, so that a machine that is busy now and then spoils all of them alike. Each is
    run before, to compile, and in each round what takes less than SHORT is run WARMING times before
    it is timed, so that it does not pay for the memory that others gave back to the system.
    """
    warming = {}
    for key, work in works.items():
        seconds(work)
        warming[key] = WARMING if seconds(work) < SHORT else 0
    times: dict[Name, list[float]] = {key: [] for key in works}
    for _ in range(count):
        for key, work in works.items():
            for _ in range(warming[key]):
                jax.block_until_ready(work())
            times[key].append(seconds(work))
    return times


def medians(times: Mapping[Name, Sequence[float]]) -> dict[Name, float]:
    """The median of each."""
    return {key: statistics.median(values) for key, values in times.items()}


def mebibytes(count: int | None) -> str:
    """A number of bytes as tables show it."""
    return "" if count is None else f"{count / 2**20:.0f}"


def command(doc: str | None) -> argparse.ArgumentParser:
    """The command line that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    return parser


def report(
    arguments: argparse.Namespace,
    measure: Callable[[], Result],
    table: Callable[[Result], str],
) -> Result:
    """Measures, prints the table, and writes the numbers with --json.

    Args:
      arguments: of `command`.
      measure: returns everything as JSON holds it.
      table: that in Markdown.
    """
    machine = describe_machine()
    result = {"machine": machine, **measure()}
    if arguments.json:
        with atomic_path(arguments.json) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n")
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print()
    print(table(result))
    return result
