"""What all experiments start from: the original token system, and the repaired one.

Both are narrow enough to train in one and a half to five minutes on one CPU core, which is far from
converged: differences between arms are those after 450 steps. The original has the faults of
configs/lp_small.py at the width and with the three bands of the repaired system, so that arms
differ by one thing at a time.
"""

from typing import Any

from ml_collections import ConfigDict

from inr_sr.config import default
from inr_sr.studies import controls  # noqa: F401 - adds the controls that arms may have

# The faults of the original: the name of the remedy, then the fields with the fault.
FAULTS: dict[str, dict[str, Any]] = {
    "skip": {"model.skip": False},
    "true_hr": {"data.targets": "lr"},
    "bands": {
        "model.modulated.initialisation": "inverse_sigma",
        "model.modulated.bands": (128.0, 64.0, 32.0),
    },
    "local_frame": {
        "model.modulated.frame": "picture",
        "model.modulated.nearest": 0,
        "model.modulated.fades": False,
    },
    "detail": {"model.lp_tokens.detail": False},
    "l1": {"loss.l1": 0.0, "loss.mse": 1.0},
}


def repaired(**changes: Any) -> ConfigDict:
    """The system with every remedy: 256 tokens for 32 x 32 pixels, all layers of width 64.

    Args:
      **changes: fields, written as model__modulated__hidden=128.
    """
    config = default()
    config.model.encoder = "lp_tokens"
    config.model.lp_tokens.width = 64
    config.model.lp_tokens.patch = 2
    config.model.lp_tokens.spacing = 2
    config.model.lp_tokens.learned = 16
    config.model.lp_tokens.blocks = 1
    config.model.lp_tokens.layout = "cross"
    config.model.decoder = "modulated"
    config.model.modulated.features = 64
    config.model.modulated.hidden = 64
    config.data.queries = 256
    config.optimizer.learning_rate = 2e-3
    config.optimizer.warmup = 50
    config.train.ema = 0.99
    config.train.steps = 450
    config.train.checkpoint_every = 150
    return changed(config, {name.replace("__", "."): value for name, value in changes.items()})


def convolutional(**changes: Any) -> ConfigDict:
    """The repaired system with 4 residual blocks of 32 features instead of tokens."""
    return repaired(
        model__encoder="edsr", model__edsr__features=32, model__edsr__blocks=4, **changes
    )


def larger_patches() -> ConfigDict:
    """The repaired system on patches of 64, 48 and 32 LR pixels a side instead of 32 alone."""
    return repaired(data__patch=64, data__other_patches=(48, 32), model__trained_size=64)


def changed(config: ConfigDict, fields: dict[str, Any]) -> ConfigDict:
    """Sets fields of a configuration by their dotted names, and returns it."""
    config.update_from_flattened_dict(fields)
    return config


def original() -> ConfigDict:
    """The system of the same sizes with none of the remedies."""
    config = repaired()
    for fields in FAULTS.values():
        changed(config, fields)
    return config
