"""Upscaling needs nothing that only training needs; calls go down the layers, as imports do."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inr_sr.training.task import PatchTask
from tests.tiny import ROOT, TINY, environment, tiny_images

# A name set to None in sys.modules cannot be imported, as if it were not installed.
_WITHOUT_TRAIN_EXTRA = """
import sys
for name in ("grain", "matplotlib", "optax", "orbax", "tensorboard", "tensorboardX",
             "tensorflow", "tensorflow_datasets"):
    sys.modules[name] = None
from inr_sr.cli import main
sys.exit(main())
"""


def test_upscale_runs_without_the_train_extra(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    arguments = ["upscale", str(tmp_path / "in.png"), str(tmp_path / "out.png"), "--scale", "1.5"]
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TRAIN_EXTRA, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as upscaled:
        assert upscaled.size == (24, 18)


def test_diagnose_says_what_is_missing_without_the_train_extra(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TRAIN_EXTRA, "diagnose", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: diagnose needs ")
    assert "pip install 'inr_sr[train]'" in done.stderr
    assert done.stderr.count("\n") == 1


def recorded(out: Path, until: str, *program: Any) -> dict[str, Any]:
    """See `tests.calls`."""
    arguments = [sys.executable, "-m", "tests.calls", str(out), until, *map(str, program)]
    done = subprocess.run(
        arguments, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def layers(container: str) -> dict[str, int]:
    """The layer of each module of a package, 0 the highest, by import-linter's contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (found,) = (c["layers"] for c in contracts["contracts"] if c.get("containers") == [container])
    return {
        f"{container}.{name}": layer
        for layer, names in enumerate(found)
        for name in names.replace("|", " ").replace(":", " ").split()
    }


def upward(calls: list[Any], container: str) -> list[str]:
    """The calls whose callee lies in a higher layer than their caller; the program is above all."""
    order, depth = layers(container), container.count(".") + 2

    def layer(module: str) -> int | None:
        if module == "__main__":
            return -1
        return order.get(".".join(module.split(".")[:depth]))

    return [
        f"{caller} -> {callee}.{function}"
        for caller, callee, function, _ in calls
        if None not in (layer(caller), layer(callee)) and layer(callee) < layer(caller)
    ]


def test_flags_to_the_first_training_step(tmp_path: Path) -> None:
    images = tiny_images(tmp_path / "images", 1)
    chosen = {"eval.dataset": images, "eval.during": "2", "eval.scales": "2", "eval.images": 1}
    fields = {**TINY, "data.folder": images, **chosen}
    overrides = [f"--config.{name}={value}" for name, value in fields.items()]
    head = [ROOT / "train.py", "--config=configs/quickstart.py", f"--workdir={tmp_path / 'run'}"]
    found = recorded(tmp_path / "calls.json", "step", *head, *overrides)
    assert set(found["stack"]) == {"train.py", "inr_sr/training/loop.py", "inr_sr/training/step.py"}
    assert len(found["calls"]) > 100
    assert upward(found["calls"], "inr_sr") == []
    # The loop knows tasks by their protocol alone; calls of that are what a task is for.
    protocol = {name for name in dir(PatchTask) if not name.startswith("_")}
    for call in upward(found["calls"], "inr_sr.training"):
        _, _, function = call.partition(" -> inr_sr.training.tasks.super_resolution.")
        assert function.removeprefix("SuperResolution.") in protocol, call


def test_arguments_to_the_first_strip(tmp_path: Path) -> None:
    images = tiny_images(tmp_path / "images", 1)
    command = ["inr-sr", "upscale", images / "0.png", tmp_path / "large.png", "--scale=2.3"]
    found = recorded(tmp_path / "calls.json", "strip", *command)
    assert len(found["calls"]) > 100
    assert upward(found["calls"], "inr_sr") == []
