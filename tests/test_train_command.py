"""train.py as a user runs it."""

import re
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from inr_sr.training.checkpoints import CHECKPOINTS, latest_step
from inr_sr.training.metric_writer import METRICS, rows
from inr_sr.weights import load_weights
from tests.tiny import (
    LONGER,
    command_line,
    content,
    run_command,
    run_command_here,
    start_command,
    stop_when,
    tiny_images,
)

TABLE = re.compile(r"^ (parameter|all|encoder|decoder)")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder of images, one of small images, an empty one, a damaged one, and a file."""
    root = tmp_path_factory.mktemp("place")
    tiny_images(root / "images", 1)
    (root / "empty").mkdir()
    (root / "file").write_text("in the way")
    (root / "small").mkdir()
    Image.fromarray(np.zeros((15, 90, 3), np.uint8)).save(root / "small" / "a.png")
    tiny_images(root / "damaged", 2)
    whole = (root / "damaged" / "1.png").read_bytes()
    (root / "damaged" / "1.png").write_bytes(whole[: len(whole) // 2])
    return root


@pytest.fixture
def here(monkeypatch, capfd) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: exit code, stdout, stderr."""

    def run(*arguments: Any, **changes: Any) -> tuple[int, str, str]:
        code = run_command_here(monkeypatch, command_line(*arguments, **changes))
        stdout, stderr = capfd.readouterr()
        return code, stdout, stderr

    return run


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--config.train.stpes=3"], "unknown config field 'stpes'; did you mean 'steps'?"),
        (
            ["--config.loss.huber=1"],
            "unknown config field 'huber'; there are: charbonnier, fourier, gradient, l1, ",
        ),
        (["--config.seed.x=1"], "seed.x"),
        (["--config.nosuch.x=1"], "unknown config field 'nosuch'; there are: adversarial, data, "),
        (["--config.trian.steps=3"], "unknown config field 'trian'; did you mean 'train'?"),
        (["--config.train.steps=many"], "--config.train.steps=many: invalid literal for int"),
        (["--wrokdir=x"], "Unknown command line flag 'wrokdir'. Did you mean: workdir"),
        (["steps=3"], "unexpected argument 'steps=3'"),
        (["--workdir="], "--config=FILE and --workdir=FOLDER are needed"),
        (["--config=configs/none.py"], "--config: cannot read 'configs/none.py'"),
        (["--config.data.folder=empty"], "no images in empty"),
        (["--config.data.folder=none"], "there is no folder none"),
        (["--config.data.folder=small"], "every image is smaller than a crop of 16x16 pixels"),
        (["--config.data.folder=damaged"], "1.png"),
        (["--config.eval.dataset=none"], "there is no folder none"),
        (["--config.eval.dataset=damaged"], "1.png: damaged"),
        (["--config.eval.dataset=file"], "file is not a folder"),
        (["--config.eval.scales=2,x"], "scale"),
        (["--config.optimizer.learning_rate=inf"], "above 0, and finite"),
        (["--workdir=nearest"], "compared with nearest and bicubic; choose another name"),
        (["--config.init=nobody"], "unknown weights 'nobody'; there are: "),
        (["--workdir=file"], "cannot write in file: File exists"),
    ],
)
def test_a_mistake_is_one_line_and_touches_nothing(
    place, tmp_path, monkeypatch, here, flags, message
):
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    before = content(tmp_path)
    code, stdout, stderr = here(Path("run"), Path("images"), *flags)
    assert (code, stdout) == (2, "")
    assert re.fullmatch(rf"error: .*{re.escape(message)}.*\n", stderr), stderr
    assert content(tmp_path) == before
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["--config.data.folder=none"], ["--workdir=file"]])
def test_a_mistake_ends_the_process(place, flags):
    code, stdout, stderr = run_command(Path("run"), Path("images"), *flags, cwd=place)
    assert (code, stdout) == (2, "")
    assert re.fullmatch(r"error: .*\n", stderr), stderr


def test_help_names_the_flags(place):
    code, stdout, stderr = run_command(Path("run"), Path("images"), "--help", cwd=place)
    assert (code, stderr) == (0, "")
    assert "--config" in stdout
    assert "--coordinator_address" in stdout


@pytest.mark.slow
def test_interrupted_resumed_finished_and_left_alone(place, tmp_path, here):
    workdir, images = tmp_path / "run", place / "images"
    process = start_command(workdir, images, **LONGER)
    code, stderr = stop_when(process, lambda: len(rows(workdir / METRICS)) > 1, signal.SIGINT)
    assert code == 130, stderr
    stopped = latest_step(workdir / CHECKPOINTS)
    said = [line for line in stderr.splitlines() if not TABLE.match(line)]
    assert (
        said[-1] == f"stopped at step {stopped} of 200, saved; the same command goes on from there"
    )
    assert not [line for line in said if "WARNING" in line]
    assert "stopping after this step; Ctrl-C again stops without saving" in said

    (workdir / "report").mkdir()  # as eval.py --report may have made of the unfinished run
    before = content(workdir)
    others = tiny_images(tmp_path / "others", 2)
    code, stdout, stderr = here(workdir, others, **LONGER)
    assert (code, stdout) == (2, "")
    assert re.fullmatch(r"error: .*run was trained on the images of .*give the same .*\n", stderr)
    assert content(workdir) == before

    moved = Path(shutil.copytree(images, tmp_path / "moved"))
    code, stdout, stderr = run_command(workdir, moved, **LONGER)
    assert code == 0, stderr
    assert stdout == f"done: {workdir}/report/index.html\n"
    assert [row["step"] for row in rows(workdir / METRICS)] == list(range(2, 201, 2))
    assert {"index.html", "results.json"} <= {p.name for p in (workdir / "report").iterdir()}
    assert (workdir / "model.safetensors").is_file()

    before = content(workdir)
    again = f"{workdir} is finished already; eval.py evaluates it again\n"
    assert here(workdir, images, **LONGER) == (0, stdout, again)
    code, stdout, stderr = here(workdir, images, "--config.model.edsr.blocks=2", **LONGER)
    assert (code, stdout) == (2, "")
    assert re.fullmatch(
        r"error: .*holds another run: model\.edsr\.blocks is 1 there, 2 here.*\n", stderr
    )
    assert content(workdir) == before

    # A run that starts from its weights: at next to no learning rate, the same network.
    begun, init = tmp_path / "begun", f"--config.init={workdir / 'model.safetensors'}"
    still = "--config.optimizer.learning_rate=1e-12"
    code, stdout, stderr = here(begun, images, init, still, "--config.train.steps=4")
    assert code == 0, stderr
    first, second = (load_weights(path / "model.safetensors") for path in (workdir, begun))
    assert first.config.to_dict() == second.config.to_dict()
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-7), first.params, second.params)
    code, stdout, stderr = here(tmp_path / "other", images, init, "--config.model.edsr.blocks=2")
    assert (code, stdout) == (2, "")
    assert re.fullmatch(r"error: .* is of another model: it differs in model\.edsr\n", stderr)
