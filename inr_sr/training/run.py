"""One training from start to finish: train, export the weights, evaluate, write the report."""

import os
import platform
import shlex
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.data.sources import Source, open_source
from inr_sr.devices import make_mesh, place, replicated
from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import check_sizes, enlargement, evaluate
from inr_sr.evaluation.protocols import Scale, get_protocol, parse_scales
from inr_sr.evaluation.report import PANEL_PICTURES, write_report
from inr_sr.training.checkpoints import Checkpoints
from inr_sr.training.loop import CHECKPOINTS, train
from inr_sr.training.progress import evaluation_bar
from inr_sr.training.validation import Validation
from inr_sr.training.workdir import agree, fields, read_config
from inr_sr.upscaling import NetworkUpscaler, ResampleUpscaler
from inr_sr.weights import check_params, load_weights, save_weights

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
    page = workdir / REPORT
    if not page.is_dir():
        test = open_source(config.eval.dataset, config.eval.split)
        validation = Validation(config, test)
        _check_report(config, test)
        train(config, workdir, validation, _initial(config))
        if jax.process_index() == 0:
            export(workdir)
            report(config, workdir, test)
    else:
        agree(workdir, config)
    return page


def _report_scales(config: ConfigDict) -> list[Scale]:
    fixed = models.build(config.model).fixed_scale
    return parse_scales(str(fixed) if fixed else config.eval.scales)


def _check_report(config: ConfigDict, test: Source) -> None:
    """Makes sure, before hours of work, that the report can be made of the pictures."""
    check_sizes(test, _report_scales(config), get_protocol(config.eval.protocol))


def _initial(config: ConfigDict) -> Any | None:
    """Parameters of `config.init`, which must be of the same model."""
    if not config.init:
        return None
    weights = load_weights(config.init)
    theirs, ours = fields(weights.config), fields(config.model)
    differing = sorted(k for k in theirs.keys() | ours.keys() if theirs.get(k) != ours.get(k))
    if differing:
        raise InputError(
            f"config.init {config.init!r} is of another model: it differs in model."
            f"{', model.'.join(differing)}"
        )
    shapes = jax.eval_shape(lambda: models.init(models.build(config.model), jax.random.key(0)))
    check_params(weights.params, shapes, config.init)
    return weights.params


def load_average(workdir: Path, *, best: bool = False) -> tuple[ConfigDict, int, Any]:
    """Configuration, step and averaged parameters (numpy) of a training's newest checkpoint.

    The best one is for choosing by hand: picked by the pictures it is then reported on, its score
    would flatter.

    Raises:
      InputError: no training there, no checkpoint yet, or one that cannot be read.
    """
    config = read_config(workdir)
    like = models.init(models.build(config.model), jax.random.key(0))
    checkpoints = Checkpoints(workdir / CHECKPOINTS, read_only=True)
    try:
        like = place(jax.tree.map(np.asarray, like), replicated(make_mesh()))
        step, average = checkpoints.restore_average(like, best=best)
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


def load_network(workdir: Path, *, best: bool = False, ensemble: bool = False) -> NetworkUpscaler:
    """The network of a training, from its newest or best checkpoint, named after the folder."""
    config, _, params = load_average(workdir, best=best)
    name = workdir.resolve().name
    return NetworkUpscaler(models.build(config.model), params, name, ensemble=ensemble)


def export(workdir: Path) -> None:
    """Writes the averaged parameters of the newest checkpoint as one weights file."""
    config, step, params = load_average(workdir)
    name = workdir.resolve().name
    save_weights(workdir / WEIGHTS, params, config.model, facts(config, step), name=name)


def report(config: ConfigDict, workdir: Path, test: Source) -> None:
    """Evaluates against the classical methods and writes the page."""
    network = load_network(workdir)
    scales, protocol = _report_scales(config), get_protocol(config.eval.protocol)
    baselines = [ResampleUpscaler("nearest"), ResampleUpscaler("bicubic")]
    with evaluation_bar() as show:
        results = evaluate(
            [*baselines, network],
            test,
            scales,
            protocol,
            config.eval.dataset,
            panel_pictures=PANEL_PICTURES,
            progress=show,
        )
    command = [
        "python", "eval.py", f"--workdir={workdir}", f"--data={config.eval.dataset}",
        f"--split={config.eval.split}", f"--protocol={protocol.name}",
        f"--scales={','.join(scale.label for scale in scales)}", "--baselines=nearest,bicubic",
        f"--report={workdir / REPORT}",
    ]  # fmt: skip
    told = {"command": shlex.join(command), "parameters": f"{network.parameters:,}"}
    told |= {name: str(value) for name, value in load_weights(workdir / WEIGHTS).facts.items()}
    far = None
    if models.build(config.model).fixed_scale is None:
        far = enlargement([baselines[1], network], test[0], test.name(0))
    title = f"{network.name}: super-resolution at any scale"
    write_report(workdir / REPORT, results, title=title, facts=told, enlargement=far)
