"""One training from start to finish: train, export the weights, evaluate, write the report."""

import os
import platform
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.data.sources import Source, open_source
from inr_sr.devices import make_mesh, place, replicated
from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import enlargement, evaluate
from inr_sr.evaluation.protocols import get_protocol, parse_scales
from inr_sr.evaluation.report import write_report
from inr_sr.training.checkpoints import Checkpoints
from inr_sr.training.loop import CHECKPOINTS, train
from inr_sr.training.validation import Validation
from inr_sr.training.workdir import read_config
from inr_sr.upscaling import NetworkUpscaler, ResampleUpscaler
from inr_sr.weights import load_weights, save_weights

WEIGHTS = "model.safetensors"
REPORT = "report"


def run(config: ConfigDict, workdir: Path) -> Path:
    """Trains in `workdir` or goes on there; a finished one is left as it is.

    Returns:
      The folder of the report, which the first host writes.

    Raises:
      InputError: a request that cannot work; nothing has been written then.
      Interrupted: Ctrl-C or SIGTERM; the state is saved.
      NotFinite: the loss became NaN or infinite.
    """
    test = open_source(config.eval.dataset, config.eval.split)
    validation = Validation(config, test)
    parse_scales(config.eval.scales)
    train(config, workdir, validation, _initial(config))
    if jax.process_index() == 0 and not (workdir / REPORT).is_dir():
        export(workdir)
        report(config, workdir, test)
    return workdir / REPORT


def _initial(config: ConfigDict) -> Any | None:
    """Parameters of `config.init`, which must be of the same model."""
    if not config.init:
        return None
    weights = load_weights(config.init)
    if weights.config.to_dict() != config.model.to_dict():
        theirs, ours = weights.config.to_dict(), config.model.to_dict()
        differing = [key for key in ours if theirs.get(key) != ours[key]]
        raise InputError(
            f"config.init {config.init!r} is of another model: model.{', model.'.join(differing)} "
            "differ"
        )
    return weights.params


def load_average(workdir: Path) -> tuple[ConfigDict, int, Any]:
    """Configuration, step and averaged parameters (numpy) of a training's best checkpoint.

    Raises:
      InputError: no training there, no checkpoint yet, or one that cannot be read.
    """
    config = read_config(workdir)
    like = models.init(models.build(config.model), jax.random.key(0))
    checkpoints = Checkpoints(workdir / CHECKPOINTS, read_only=True)
    try:
        like = place(jax.tree.map(np.asarray, like), replicated(make_mesh()))
        step, average = checkpoints.restore_average(like)
    finally:
        checkpoints.close()
    return config, step, jax.tree.map(np.asarray, average)


def facts(config: ConfigDict, step: int) -> dict[str, Any]:
    """What a model card says of a training."""
    return {
        "steps": step,
        "seed": config.seed,
        "data": Path(config.data.folder).name or config.data.dataset,
        "batch": f"{config.train.batch_size} LR patches of {config.data.patch} pixels a side",
        "scales": f"uniform in {config.data.min_scale} to {config.data.max_scale}",
        "loss": {name: weight for name, weight in config.loss.items() if weight},
        "hardware": f"{jax.device_count()} x {jax.devices()[0].device_kind}, "
        f"{os.cpu_count()} cores {platform.machine()}",
        "jax": jax.__version__,
    }


def load_network(workdir: Path, *, ensemble: bool = False) -> NetworkUpscaler:
    """The network of a training, as its best checkpoint has it, named after the folder."""
    config, _, params = load_average(workdir)
    name = workdir.resolve().name
    return NetworkUpscaler(models.build(config.model), params, name, ensemble=ensemble)


def export(workdir: Path) -> None:
    """Writes the averaged parameters of the best checkpoint as one weights file."""
    config, step, params = load_average(workdir)
    name = workdir.resolve().name
    save_weights(workdir / WEIGHTS, params, config.model, facts(config, step), name=name)


def report(config: ConfigDict, workdir: Path, test: Source) -> None:
    """Evaluates against the classical methods and writes the page."""
    network = load_network(workdir)
    fixed = models.build(config.model).fixed_scale
    scales = parse_scales(str(fixed) if fixed else config.eval.scales)
    protocol = get_protocol(config.eval.protocol)
    baselines = [ResampleUpscaler("nearest"), ResampleUpscaler("bicubic")]
    results = evaluate([*baselines, network], test, scales, protocol, config.eval.dataset)
    write_report(
        workdir / REPORT,
        results,
        title=f"{network.name}: super-resolution at any scale",
        facts={
            "command": f"python eval.py --workdir={workdir} --data={config.eval.dataset} "
            f"--scales={','.join(scale.label for scale in scales)} --baselines=nearest,bicubic",
            "parameters": f"{network.parameters:,}",
            **{name: str(value) for name, value in facts(config, config.train.steps).items()},
        },
        enlargement=None if fixed else enlargement([baselines[1], network], test[0], test.name(0)),
    )
