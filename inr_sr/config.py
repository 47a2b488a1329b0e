"""The configuration: `default` composes the sections that each part defines.

Fields and their meaning are in the file of each section:

    seed, init     here
    model          inr_sr/models/build.py; its encoders and decoders in their own files
    data           inr_sr/data/loaders.py and samples.py
    loss           inr_sr/training/losses/; perceptual in perceptual.py there
    adversarial    inr_sr/training/adversary.py
    optimizer      inr_sr/training/optimizer.py
    train          inr_sr/training/setup.py
    eval           inr_sr/evaluation/evaluate.py
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from inr_sr import models
from inr_sr.data import loaders
from inr_sr.evaluation import evaluate
from inr_sr.models.parts import Shared
from inr_sr.training import adversary, losses, optimizer, setup

RENAMED = {"eval.pictures": "eval.images"}
"""Fields of earlier versions, and their names in this version."""

MOVED = {
    "data.raw_targets": "data.targets = raw_hr, one of the controls in inr_sr/studies/controls.py",
    "model.modulated.control": "model.decoder = end_points or raster_distance, controls in "
    "inr_sr/studies/controls.py",
}
"""Fields of earlier versions, and what to set instead."""

FOLLOWING = (
    *(f"model.{decoder}.max_scale" for decoder in ("spectral", "modulated")),
    "model.modulated.lr_size",
    "model.trained_size",
)
"""Fields that follow a field of `data`; earlier versions stored numbers of their own."""


def default() -> ConfigDict:
    """A locked ConfigDict with the defaults of all sections."""
    config = ConfigDict()
    config.seed = 0  # of initial parameters, crops and queries
    # Weights to start from: a name in the package, or a .safetensors file; "": random parameters.
    config.init = ""
    config.data = loaders.default_config()
    shared = Shared(config.data.get_ref("max_scale"), config.data.get_ref("patch"))
    config.model = models.default_config(shared)
    config.loss = losses.default_config()
    for name, section in losses.default_sections().items():
        config[name] = section
    config.adversarial = adversary.default_config()
    config.optimizer = optimizer.default_config()
    config.train = setup.default_config()
    config.eval = evaluate.default_config()
    return config.lock()


def renamed(field: str) -> str | None:
    """What to set instead of a field of an earlier version; None: not such a field."""
    return RENAMED.get(field) or MOVED.get(field)


def migrated(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration of this or an earlier version, with the names of this version.

    Fields that follow another field are dropped.
    """
    flat = ConfigDict(stored).to_dict()
    for old, new in RENAMED.items():
        value = _pop(flat, old)
        if value is not None:
            _section(flat, new)[new.rpartition(".")[2]] = value
    for field in FOLLOWING:
        _pop(flat, field)
    if _pop(flat, "data.raw_targets"):  # one of studies.controls now
        flat["data"]["targets"] = "raw_hr"
    return {**flat, "model": models.migrated(flat["model"])}


def _section(config: dict[str, Any], field: str) -> dict[str, Any]:
    """The section of a field by its dotted name, in nested dicts; {} if it does not exist."""
    for part in field.split(".")[:-1]:
        config = config.get(part, {})
    return config


def _pop(config: dict[str, Any], field: str) -> Any:
    """Removes a field by its dotted name from nested dicts; its value, or None without it."""
    return _section(config, field).pop(field.rpartition(".")[2], None)
