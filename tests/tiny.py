"""A training run of seconds: its configuration, and a program that runs it in a process of its own.

Compiling is what takes the time, so tests keep to one program wherever they can.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict
from PIL import Image

from inr_sr.config import default
from inr_sr.training import loop
from inr_sr.training.state import TrainState
from inr_sr.training.tasks.super_resolution import SuperResolution

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = str(ROOT / "train.py")

TINY = {
    "model.edsr.features": 4,
    "model.edsr.blocks": 1,
    "model.spectral.width": 6,
    "model.spectral.frequencies": (2, 2, 2),
    "model.spectral.bands": (0.5, 1.0, 2.0),
    "data.patch": 8,
    "data.candidates": 2,
    "data.max_scale": 2.0,
    "data.queries": 16,
    "optimizer.learning_rate": 1e-3,
    "optimizer.warmup": 2,
    "train.batch_size": 8,
    "train.steps": 24,
    "train.steps_per_dispatch": 3,
    "train.log_every": 2,
    "train.checkpoint_every": 4,
    "train.eval_every": 8,
}

# Long enough to be interrupted on its way.
LONGER = {"train__steps": 200, "train__checkpoint_every": 50, "train__eval_every": 200}


def tiny(folder: Path | str = "", **changes: Any) -> ConfigDict:
    """The configuration; a change is written train__steps=20."""
    config = default()
    named = {name.replace("__", "."): value for name, value in changes.items()}
    config.update_from_flattened_dict({**TINY, "data.folder": str(folder), **named})
    return config


def tiny_images(folder: Path, count: int = 3) -> Path:
    """Smooth images with some noise, just larger than a crop of TINY."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        rows, cols = np.mgrid[: 52 + 4 * seed, :60] / 8
        waves = [np.sin(a * rows + b * cols) for a, b in rng.uniform(-2, 2, (3, 2))]
        values = 128 + 80 * np.stack(waves, -1) + rng.normal(0, 12, (*rows.shape, 3))
        pixels = np.clip(values, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    return folder


def score(params: Any) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """In place of an evaluation: a number that depends on every parameter."""
    total = sum(float(np.abs(np.asarray(p)).sum()) for p in jax.tree.leaves(params))
    return {"eval_psnr": total}, {"grey": np.full((4, 4, 3), 0.5, np.float32)}


def train(config: ConfigDict, workdir: Path, validate: Any = score, **options: Any) -> TrainState:
    """Super-resolution by a configuration, validated as a test wants it."""
    return loop.train(SuperResolution(config, validate), config, workdir, **options)


def content(workdir: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and bytes of every file."""
    files = sorted(path for path in workdir.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def environment(**changes: str) -> dict[str, str]:
    """Of programs that tests start: this one's, and every compiled program is kept."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        **changes,
    }


def start(
    workdir: Path, folder: Path, *, devices: int = 0, **changes: Any
) -> subprocess.Popen[str]:
    """Runs `train` in a process of its own, on as many devices as this one or `devices`."""
    arguments = json.dumps({"folder": str(folder), **changes})
    return _start(["-m", "tests.tiny", str(workdir), arguments], devices)


def command_line(workdir: Path, folder: Path, *more: str, **changes: Any) -> list[str]:
    """Arguments of train.py, on the images of a folder, on which it is also evaluated."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    evaluated = {"eval.dataset": folder, "eval.during": "2", "eval.scales": "2", "eval.images": 1}
    fields = {**TINY, "data.folder": folder, **evaluated, **named}
    overrides = [f"--config.{name}={value}" for name, value in fields.items()]
    config = ROOT / "configs" / "quickstart.py"
    return [PROGRAM, f"--config={config}", f"--workdir={workdir}", *overrides, *more]


def start_command(
    workdir: Path, folder: Path, *more: str, devices: int = 0, cwd: Path = ROOT, **changes: Any
) -> subprocess.Popen[str]:
    """Runs train.py in a process of its own; see `command_line`."""
    return _start(command_line(workdir, folder, *more, **changes), devices, cwd)


def run_command(*arguments: Any, **named: Any) -> tuple[int, str, str]:
    """`start_command` to its end: exit code, stdout, stderr."""
    process = start_command(*arguments, **named)
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


def run_command_here(monkeypatch: Any, arguments: list[str]) -> int:
    """Runs train.py in this process, which takes a tenth of the time; the exit code.

    Nothing of it stays: flags are defined again, and the process keeps its settings.
    """

    def leave(code: int) -> None:
        raise SystemExit(code)

    before = set(flags.FLAGS)
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a process of its own; ml_collections has some
        patch.setattr(sys, "argv", arguments)
        patch.setattr(os, "_exit", leave)
        for name in ("keep_compiled_programs", "keep_freed_memory"):
            patch.setattr(f"inr_sr.devices.{name}", lambda: None)
        try:
            runpy.run_path(PROGRAM, run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            for name in set(flags.FLAGS) - before:
                delattr(flags.FLAGS, name)
    raise AssertionError("train.py ended without an exit code")


def _start(arguments: list[str], devices: int, cwd: Path = ROOT) -> subprocess.Popen[str]:
    forced = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(**({"XLA_FLAGS": forced} if devices else {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 300) -> tuple[int, str]:
    """Exit code and stderr; the process is gone when this returns or raises."""
    try:
        _, stderr = process.communicate(timeout=seconds)
        return process.returncode, stderr
    finally:
        process.kill()
        process.wait()


def stop_when(
    process: subprocess.Popen[str],
    ready: Callable[[], bool],
    number: signal.Signals,
    delay: float = 0.0,
) -> tuple[int, str]:
    """Sends a signal `delay` seconds after it is `ready`, unless the process has ended before."""
    try:
        deadline = time.monotonic() + 300
        while not ready() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(number)
    except BaseException:
        process.kill()
        raise
    return finish(process)


if __name__ == "__main__":
    train(tiny(**json.loads(sys.argv[2])), Path(sys.argv[1]), score)
