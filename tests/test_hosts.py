"""Two processes on this machine, as two hosts would be."""

import functools
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from inr_sr import models
from inr_sr.files import locked
from inr_sr.training import state as training_state
from inr_sr.training.checkpoints import CHECKPOINTS, Checkpoints, latest_step
from inr_sr.training.metric_writer import METRICS, rows
from inr_sr.training.optimizer import make_optimizer
from tests.tiny import finish, start, start_command, stop_when, tiny, tiny_images

LENGTH = {"train__steps": 60, "train__eval_every": 60, "train__checkpoint_every": 30}


@contextmanager
def hosts(workdir: Path, folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """train.py twice, joined; both are gone at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = ["--distributed", f"--coordinator_address={address}", "--num_processes=2"]
    with ExitStack() as stack:
        pair = []
        for i in range(2):
            options = [*flags, f"--process_id={i}"]
            process = start_command(workdir, folder, *options, devices=1, **LENGTH)
            pair.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield pair


def newest(workdir: Path) -> Any:
    """Parameters and their average of the newest checkpoint."""
    config = tiny(**LENGTH)
    model = models.build(config.model)
    params = models.init(model, jax.random.key(0))
    optimizer = make_optimizer(config.optimizer, config.train.steps, model.labels)
    like = training_state.create(params, optimizer, config.seed)
    with closing(Checkpoints(workdir / CHECKPOINTS, read_only=True)) as checkpoints:
        state = checkpoints.restore(like)
    return state.params, state.ema


@pytest.mark.slow
def test_all_hosts_are_refused_where_another_job_trains(tmp_path):
    folder, workdir = tiny_images(tmp_path / "images", 1), tmp_path / "run"
    with locked(workdir), hosts(workdir, folder) as pair:
        for process in pair:
            code, message = finish(process)
            assert code == 2, message
            assert f"error: {workdir} is in use by another process" in message


@pytest.mark.slow
def test_two_hosts_train_as_one(tmp_path):
    folder, two, one = tiny_images(tmp_path / "images", 1), tmp_path / "two", tmp_path / "one"
    # Asking one of them to stop stops both, at the same step.
    with hosts(two, folder) as (lead, other):
        code, message = stop_when(other, lambda: len(rows(two / METRICS)) > 1, signal.SIGINT)
        assert code == 130, message
        code, messages = finish(lead)
        assert code == 130, messages
        assert messages.endswith(message[message.index("stopped at") :])
    assert 0 < (latest_step(two / CHECKPOINTS) or 0) < 60

    with hosts(two, folder) as pair:
        for process in pair:
            code, message = finish(process)
            assert code == 0, message
    assert (two / "report" / "index.html").is_file()

    code, message = finish(start(one, folder, devices=2, **LENGTH))
    assert code == 0, message
    together, alone = rows(two / METRICS), rows(one / METRICS)
    assert [row["step"] for row in together] == [row["step"] for row in alone]
    for row, expected in zip(together, alone):
        row.pop("eval_psnr_x2", None)
        if "eval_psnr" in row:  # not the same measure
            row["eval_psnr"] = expected["eval_psnr"]
        assert row == pytest.approx(expected, rel=1e-4)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-6),
        newest(two),
        newest(one),
    )
