"""How long the command takes from its start to the image, where the image is small.

    python -m benchmarks.start_up [--json FILE]

Whole processes, from start to exit. The first run of a size has an empty compile cache, the second
what the first one left there. Then the parts of a first and a second run by the clock of the main
thread, with JAX's own timers of tracing, lowering and compiling, or reading what was compiled. Some
of that goes on while the network runs. Medians of rounds that take turns.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.measuring import Result, command, medians, report
from inr_sr.data.sources import EmbeddedSource
from inr_sr.reporting.tables import markdown

ROUNDS = 7
SIZES = ((128, 2), (256, 4))  # side of the image, scale
RUNS = ("first", "second")
COMMAND = ("-m", "inr_sr.cli")

Times = defaultdict[Any, list[float]]
"""Seconds of every round, by what took them."""

# The command with a clock: imports one after the other, as it imports them, and JAX's timers.
_TIMED = """
import collections, gc, json, sys, time
clock = time.perf_counter
parts, began = collections.Counter(), clock()
def done(part):
    global began
    parts[part] += clock() - began
    began = clock()
from inr_sr.cli import main
done("import the command: NumPy, Pillow")
gc.disable()  # as the command does, which goes on to the end of its imports
import jax
done("import JAX")
import inr_sr.upscaling
done("import Flax and the rest")
jax.monitoring.register_event_duration_secs_listener(lambda *a, **_: parts.update(dict([a])))
began = clock()
main(sys.argv[2:])
done("main")
open(sys.argv[1], "w").write(json.dumps(parts))
"""
_TIMERS = {
    "trace": "/jax/core/compile/jaxpr_trace_duration",
    "lower": "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "compile, or read what was compiled": "/jax/core/compile/backend_compile_duration",
}


def seconds(*arguments: str, status: int = 0, cache: str = "") -> float:
    """How long Python takes with these arguments, from start to exit."""
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": cache}
    began = time.perf_counter()
    line = [sys.executable, *arguments]
    run = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if run.returncode != status:
        raise RuntimeError(f"{arguments} ended with {run.returncode}: {run.stderr}")
    return took


def timed(arguments: Sequence[str], folder: Path, cache: str) -> dict[str, float]:
    """The parts of one run of the command."""
    path = folder / "parts.json"
    whole = seconds("-c", _TIMED, str(path), *arguments, cache=cache)
    found = json.loads(path.read_text())
    imports = {name: value for name, value in found.items() if name.startswith("import")}
    timers = {name: found[timer] for name, timer in _TIMERS.items()}
    rest = found["main"] - sum(timers.values())
    parts = {**imports, **timers, "weights, waiting for the network, files": rest}
    return {**parts, "start and exit of Python": whole - found["main"] - sum(imports.values())}


def one_round(folder: Path, processes: Times, parts: Times) -> None:
    """Everything once, in turn."""
    requests = [upscale(folder, side, scale) for side, scale in SIZES]
    for name, status, arguments in (
        ("Python alone", 0, ("-c", "pass")),
        ("`import jax`", 0, ("-c", "import jax")),
        ("`inr-sr --version`", 0, (*COMMAND, "--version")),
        ("a mistake: `--scale 0`", 2, (*COMMAND, *requests[0][:-1], "0")),
    ):
        processes[name].append(seconds(*arguments, status=status))
    for (side, scale), request in zip(SIZES, requests):
        with tempfile.TemporaryDirectory() as cache:
            for run in RUNS:
                took = seconds(*COMMAND, *request, cache=cache)
                processes[f"{side}×{side} ×{scale}, {run} run"].append(took)
    with tempfile.TemporaryDirectory() as cache:
        for run in RUNS:
            for part, value in timed(requests[0], folder, cache).items():
                parts[part, run].append(value)


def upscale(folder: Path, side: int, scale: int) -> list[str]:
    """Arguments that enlarge a square of an embedded image; its file is made if need be."""
    path = folder / f"{side}.png"
    if not path.exists():
        Image.fromarray(EmbeddedSource("test")[0][:side, :side]).save(path)
    return ["upscale", str(path), str(folder / "large.png"), "--scale", str(scale)]


def measure() -> Result:
    """Medians of seconds, of processes and of the parts of a run."""
    processes: Times = defaultdict(list)
    parts: Times = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            one_round(Path(folder), processes, parts)
    names = dict.fromkeys(part for part, _ in parts)
    return {
        "rounds": ROUNDS,
        "processes": medians(processes),
        "parts": {
            part: {run: statistics.median(parts[part, run]) for run in RUNS} for part in names
        },
    }


def table(result: Result) -> str:
    """The measurement in Markdown."""
    side, scale = SIZES[0]
    processes = [[name, f"{value:.2f}"] for name, value in result["processes"].items()]
    parts = [
        [part, *(f"{1000 * runs[run]:.0f}" for run in RUNS)]
        for part, runs in result["parts"].items()
    ]
    head = [f"ms, {side}×{side} ×{scale}", *(f"{run} run" for run in RUNS)]
    return f"{markdown(['process', 'seconds'], processes)}\n\n{markdown(head, parts)}"


if __name__ == "__main__":
    report(command(__doc__).parse_args(), measure, table)
