"""A diagnosis from start to finish."""

from __future__ import annotations

import math
from pathlib import Path

from inr_sr.data.sources import open_source, source_name
from inr_sr.devices import explain_out_of_memory
from inr_sr.errors import InputError
from inr_sr.reporting.machine import describe_machine
from inr_sr.sizes import Scale
from inr_sr.studies.diagnosis import ablations, modulation
from inr_sr.studies.diagnosis.edge_crops import edge_crops
from inr_sr.studies.diagnosis.measures import measured
from inr_sr.studies.diagnosis.report import check_replaceable, panels, write_diagnosis
from inr_sr.studies.diagnosis.suspects import verdicts
from inr_sr.studies.diagnosis.trained_network import TrainedNetwork
from inr_sr.studies.diagnosis.verdict import Verdict
from inr_sr.training.workdir import read_config

DEFAULT_SCALE = 4.0


def diagnose(
    workdir: Path, *, data: str | None, scale: Scale | None, command: str
) -> tuple[dict[str, Verdict], Path]:
    """Measures the network of a training run and writes the folder "diagnosis" in its work folder.

    Args:
      workdir: of the run.
      data: held-out images, see `open_source`; None for those that the run is validated on.
      scale: the same for both axes, above 1; None for DEFAULT_SCALE, or the network's only one.
      command: the command that the page names.

    Returns:
      The verdicts by suspect, causes first, and the path of the page.

    Raises:
      InputError: no training run there, no checkpoint to measure, or a scale or images that cannot
        be used; nothing has been written then.
    """
    if scale is not None and not (scale.rows == scale.cols > 1):
        raise InputError(
            f"scale {scale.label} is not allowed: a diagnosis needs one above 1 for both axes"
        )
    config = read_config(workdir)
    check_replaceable(workdir)
    spec, split = (data, "test") if data else (config.eval.dataset, config.eval.split)
    source = open_source(spec, split)
    network = TrainedNetwork.of(workdir)
    scale = _known_scale(network, scale)
    crops = edge_crops(source, scale, config.data.patch, source_name(spec))
    with explain_out_of_memory("diagnose at a smaller --scale"):
        measures, outputs, bicubic = measured(network, crops, scale)
    found = verdicts(measures)
    facts = {
        "command": command,
        "step": f"{network.step} of {config.train.steps}",
        "parameters": "averaged",
        "data": f"{source_name(spec)}: {'; '.join(crop.name for crop in crops)}",
        "seed": f"{config.seed} of the training run, {ablations.SEED} of shuffles, "
        f"{modulation.SEED} of queries",
        **describe_machine(),
    }
    shown = panels(crops, outputs, bicubic)
    return found, write_diagnosis(workdir, measures, found, shown, facts)


def _known_scale(network: TrainedNetwork, scale: Scale | None) -> Scale:
    fixed = network.model.fixed_scale
    if scale is None:
        value = float(fixed or DEFAULT_SCALE)
        return Scale(value, value, f"{value:g}")
    if fixed and scale.rows != fixed:
        raise InputError(f"scale {scale.label} is not allowed: this network is for {fixed} only")
    slots = math.ceil(scale.rows)
    network.model.check_slots(slots, slots)
    return scale
