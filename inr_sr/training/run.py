"""One training from start to finish: train, export the weights, evaluate, write the report."""

import shlex
import sys
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.configuration import stored_model
from inr_sr.data.feed import sampling, training_source
from inr_sr.data.sources import Source, fingerprint, open_source, source_name
from inr_sr.errors import InputError
from inr_sr.evaluation.evaluate import check_sizes, evaluate, magnified_detail
from inr_sr.evaluation.protocols import get_protocol
from inr_sr.evaluation.report import PANEL_IMAGES, write_report
from inr_sr.reporting.progress import evaluation_bar
from inr_sr.sizes import Scale, parse_scales
from inr_sr.training.checkpoints import CHECKPOINTS, latest_step
from inr_sr.training.export import WEIGHTS, export
from inr_sr.training.loop import train
from inr_sr.training.perceptual import load_perceptual
from inr_sr.training.validation import Validation
from inr_sr.training.workdir import agree, agree_perceptual, agree_pictures, read_config
from inr_sr.upscaling import ResampleUpscaler, load
from inr_sr.weights import check_params, load_weights

REPORT = "report"
BASELINES = ("nearest", "bicubic")


def run(config: ConfigDict, workdir: Path) -> Path:
    """Trains in `workdir` or goes on there; a finished one is left as it is.

    Returns:
      The folder of the report, which the first host writes.

    Raises:
      InputError: a request that cannot work; nothing has been written then.
      Interrupted: Ctrl-C or SIGTERM; the state is saved.
      NotFinite: the loss became NaN or infinite.
    """
    folder = workdir / REPORT
    # Not the report alone: eval.py may have written one of an unfinished training there.
    if not ((workdir / WEIGHTS).is_file() and folder.is_dir()):
        test = open_source(config.eval.dataset, config.eval.split)
        validation = Validation(config, test)
        _check_report(config, workdir, test)
        begun = latest_step(workdir / CHECKPOINTS) is not None
        train(config, workdir, validation, None if begun else _initial(config))
        if jax.process_index() == 0:
            export(workdir)
            report(config, workdir, test)
    else:
        _agree_finished(workdir, config)
    return folder


def _agree_finished(workdir: Path, config: ConfigDict) -> None:
    """Refuses a request for another training; says that there is nothing left to do."""
    agree(workdir, config)
    if config.data.folder != read_config(workdir).data.folder:
        agree_pictures(workdir, config, fingerprint(training_source(config)))
    if config.perceptual.weights != read_config(workdir).perceptual.weights:
        perceptual = load_perceptual(config, sampling(config))
        agree_perceptual(workdir, perceptual.sha256 if perceptual else "")
    print(f"{workdir} is finished already; eval.py evaluates it anew", file=sys.stderr)


def _report_scales(config: ConfigDict) -> list[Scale]:
    fixed = models.build(config.model).fixed_scale
    return parse_scales(str(fixed) if fixed else config.eval.scales)


def _check_report(config: ConfigDict, workdir: Path, test: Source) -> None:
    """Makes sure, before hours of work, that the report can be made."""
    if workdir.resolve().name in BASELINES:
        raise InputError(
            f"--workdir {workdir}: the network is called after it, and compared with "
            f"{' and '.join(BASELINES)}; choose another name"
        )
    check_sizes(test, _report_scales(config), get_protocol(config.eval.protocol))
    for index in range(len(test)):  # decodes them: a header does not tell of damage
        test[index]


def _initial(config: ConfigDict) -> Any | None:
    """Parameters of `config.init`, which must be of the same model."""
    if not config.init:
        return None
    weights = load_weights(config.init)
    # Dictionaries: two ConfigDicts differ already when only one of them is locked.
    theirs, ours = stored_model(weights.config).to_dict(), config.model.to_dict()
    parts = ("skip", "encoder", "decoder", config.model.encoder, config.model.decoder)
    differing = [name for name in parts if theirs.get(name) != ours[name]]
    if differing:
        raise InputError(
            f"config.init {config.init!r} is of another model: it differs in model."
            f"{', model.'.join(differing)}"
        )
    shapes = jax.eval_shape(lambda: models.init(models.build(config.model), jax.random.key(0)))
    check_params(weights.params, shapes, config.init)
    return weights.params


def report(config: ConfigDict, workdir: Path, test: Source) -> None:
    """Evaluates against the classical methods and writes the page."""
    network = load(workdir / WEIGHTS)
    scales, protocol = _report_scales(config), get_protocol(config.eval.protocol)
    baselines = [ResampleUpscaler(name) for name in BASELINES]
    with evaluation_bar() as show:
        results = evaluate(
            [*baselines, network],
            test,
            scales,
            protocol,
            source_name(config.eval.dataset),
            panel_images=PANEL_IMAGES,
            progress=show,
        )
    command = [
        "python", "eval.py", f"--workdir={workdir}", f"--data={config.eval.dataset}",
        f"--split={config.eval.split}", f"--protocol={protocol.name}",
        f"--scales={','.join(scale.label for scale in scales)}",
        f"--baselines={','.join(BASELINES)}", f"--report={workdir / REPORT}",
    ]  # fmt: skip
    told = {"command": shlex.join(command), "parameters": f"{network.parameters:,}"}
    told |= {name: str(value) for name, value in load_weights(workdir / WEIGHTS).facts.items()}
    fixed, far = models.build(config.model).fixed_scale, None
    if fixed is None:
        far = magnified_detail([baselines[1], network], test[0], test.name(0))
    title = f"{network.name}: super-resolution at {f'×{fixed}' if fixed else 'any scale'}"
    write_report(workdir / REPORT, results, title=title, facts=told, magnified=far)
