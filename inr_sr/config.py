"""The configuration: default() composes what each part owns.

Where the fields of a section are, with their meaning:

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
"""Fields of earlier versions, and what they are called today."""

MOVED = {
    "data.raw_targets": "data.targets = raw_hr, one of the controls in inr_sr/studies/controls.py",
    "model.modulated.control": "model.decoder = end_points or raster_distance, controls in "
    "inr_sr/studies/controls.py",
}
"""Fields of earlier versions, and what is set in their place today."""

FOLLOWING = (
    *(f"model.{decoder}.max_scale" for decoder in ("spectral", "modulated")),
    "model.modulated.lr_size",
    "model.trained_size",
)
"""Fields that are one number with a field of `data`, which earlier versions stored on their own."""


def default() -> ConfigDict:
    """A locked configuration that other configurations change."""
    config = ConfigDict()
    config.seed = 0
    # Weights to start from: a name in the package or a .safetensors file; "" starts from random
    # parameters.
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
    """What is set in place of a field of an earlier version, or None."""
    return RENAMED.get(field) or MOVED.get(field)


def migrated(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration of this or an earlier version, with today's names.

    Fields that follow another one are left out: that one decides.

    """
    flat = ConfigDict(stored).to_dict()
    for old, new in RENAMED.items():
        value = _pop(flat, old)
        if value is not None:
            _section(flat, new)[new.rpartition(".")[2]] = value
    for field in FOLLOWING:
        _pop(flat, field)
    if _pop(flat, "data.raw_targets"):  # a target of its own now, in studies.controls
        flat["data"]["targets"] = "raw_hr"
    return {**flat, "model": models.migrated(flat["model"])}


def _section(config: dict[str, Any], field: str) -> dict[str, Any]:
    for part in field.split(".")[:-1]:
        config = config.get(part, {})
    return config


def _pop(config: dict[str, Any], field: str) -> Any:
    """Takes a field by its dotted name out of nested dicts; None where it is not there."""
    return _section(config, field).pop(field.rpartition(".")[2], None)
