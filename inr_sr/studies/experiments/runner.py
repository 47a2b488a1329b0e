"""Runs experiments one after the other: trains what is left, scores it, writes the results."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inr_sr.data.sources import is_folder, source_name
from inr_sr.errors import InputError, InUse, say
from inr_sr.files import check_folder
from inr_sr.studies.experiments.comparison import compared, write_finished, write_results
from inr_sr.studies.experiments.experiment import Experiment
from inr_sr.studies.experiments.runs import Run, plan, seconds_left
from inr_sr.studies.experiments.scoring import CropValidation, HeldOut, scores
from inr_sr.studies.experiments.section import read_document, write_section
from inr_sr.training.loop import Interrupted


@dataclass(frozen=True)
class Request:
    """The options of the command.

    Attributes:
      workdir: of runs and results.
      docs: folder of the document.
      train: images to train on, see `open_source`; "" for those that the configurations name.
      test: held-out photos, see `open_source`.
      deadline: value of time.monotonic() after which nothing more is trained.
      only_report: train nothing.
    """

    workdir: Path
    docs: Path
    train: str
    test: str
    deadline: float
    only_report: bool

    def command(self, name: str) -> str:
        """The command that makes the section of an experiment, without paths of this machine."""
        words = ["python", "-m", "inr_sr.studies.experiments", name]
        given = {"train": (self.train, ""), "test": (self.test, "embedded")}
        for option, (spec, usual) in given.items():
            if spec != usual:
                shown = f"FOLDER/{source_name(spec)}" if is_folder(spec) else spec
                words.append(f"--{option}={shown}")
        return shlex.join(words)


def carry_out(experiments: Mapping[str, Experiment], request: Request) -> None:
    """Trains what is left of each experiment until the deadline, and writes their results.

    Raises:
      InputError: a request that cannot work; nothing has been written then.
      Interrupted: Ctrl-C or SIGTERM while training; the state is saved.
    """
    for folder in (request.workdir, request.docs):
        check_folder(folder)
    read_document(request.docs, list(experiments))
    photos = HeldOut(request.test)
    plans = {}
    for name, experiment in experiments.items():
        try:
            plans[name] = plan(experiment, request.workdir, request.train)
            for scale in experiment.parsed_scales:
                photos.crops(scale, experiment.lr_size)
            for run in plans[name]:
                CropValidation.of(run.task.model, photos, experiment.lr_size)
            _say_too_small(name, experiment, photos)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    for name, experiment in experiments.items():
        if not request.only_report:
            _train(name, experiment, plans[name], photos, request)
        _report(name, experiment, plans[name], photos, request)


def _say_too_small(name: str, experiment: Experiment, photos: HeldOut) -> None:
    for scale in experiment.parsed_scales:
        small = photos.too_small(scale, experiment.lr_size)
        if small:
            say(f"{name}: left out at x{scale.label} as too small: {', '.join(small)}")


def _train(
    name: str, experiment: Experiment, runs: Sequence[Run], photos: HeldOut, request: Request
) -> None:
    """Trains and scores run after run until the deadline."""
    for number, run in enumerate(runs, 1):
        if time.monotonic() >= request.deadline:
            return
        if not run.left:
            continue
        say(f"{name}: {run.arm}, seed {run.seed} ({number} of {len(runs)}), {run.folder}")
        try:
            validation = CropValidation.of(run.task.model, photos, experiment.lr_size)
            run.train(validation, request.deadline)
        except InUse:
            say(f"{name}: {run.arm}, seed {run.seed} is left to another process")
            continue
        except Interrupted as stop:
            if time.monotonic() < request.deadline:
                raise
            if not run.finished:
                say(f"{name}: out of time, {stop}")
        if run.failure:
            say(f"{name}: {run.arm}, seed {run.seed} failed: {run.failure}")
        elif run.finished:
            scores(run, photos, experiment.parsed_scales, experiment.lr_size)
        write_finished(request.workdir / name, runs)


def _report(
    name: str, experiment: Experiment, runs: Sequence[Run], photos: HeldOut, request: Request
) -> None:
    """Writes results and section, and reports missing runs."""
    missing: dict[str, list[str]] = {}
    for run in runs:
        if run.left:
            missing.setdefault(run.arm, []).append(str(run.seed))
    for arm, seeds in missing.items():
        say(f"{name}: missing {arm}, {'seeds' if len(seeds) > 1 else 'seed'} {', '.join(seeds)}")
    if not any(run.finished for run in runs):
        say(f"{name}: no run is finished, so there is nothing to write")
        return
    comparison = compared(name, experiment, runs, photos)
    write_finished(request.workdir / name, runs)
    write_results(request.workdir / name, comparison)
    write_section(request.docs, comparison, request.command(name))


def listing(experiments: Mapping[str, Experiment], workdir: Path, train: str) -> str:
    """All experiments, their arms and their progress, as text."""
    lines = []
    for name, experiment in experiments.items():
        lines += [
            f"{name}: {' '.join(experiment.question.split())}",
            f"    arms: {', '.join(experiment.arms)}",
            f"    {_progress(experiment, workdir, train)}",
        ]
    return "\n".join(lines)


def _progress(experiment: Experiment, workdir: Path, train: str) -> str:
    try:
        runs = plan(experiment, workdir, train)
    except InputError as error:  # the others are listed all the same
        return f"cannot go on: {error}"
    done = sum(not run.left for run in runs)
    return f"runs: {done} of {len(runs)} done, {_time_left(runs)}"


def _time_left(runs: list[Run]) -> str:
    if not any(run.left for run in runs):
        return "nothing left"
    seconds = seconds_left(runs)
    if seconds is None:
        return "time left unknown until one has begun"
    return (
        f"about {seconds / 60:.0f} min left" if seconds < 7200 else f"{seconds / 3600:.1f} h left"
    )
