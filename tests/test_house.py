"""Upscaling an image needs nothing that only training or evaluation needs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

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
