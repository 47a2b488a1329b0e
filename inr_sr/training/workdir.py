"""The folder of one training: its stored configuration, and whether a new request fits it."""

import json
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from inr_sr.configuration import default
from inr_sr.errors import InputError
from inr_sr.imagefile import atomic_path

CONFIG = "config.json"
# A resumed training must be the same training. What may change: how often it looks up, and where
# the same pictures lie.
FREE = (
    "data.folder",
    "eval.",
    "train.checkpoint_every",
    "train.eval_every",
    "train.log_every",
    "train.steps_per_dispatch",
)


def flatten(config: ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Every field by its dotted name: {"model.edsr.blocks": 16, ...}."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        found.update(flatten(value, f"{name}.") if isinstance(value, ConfigDict) else {name: value})
    return found


def read_config(workdir: Path) -> ConfigDict:
    """The configuration stored in a working directory.

    Raises:
      InputError: there is none, it cannot be read, or it has fields this version does not know.
    """
    path = workdir / CONFIG
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{workdir} is no working directory: it holds no {CONFIG}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    config = default()
    try:
        config.update(stored)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].strip("'\"")
        raise InputError(f"{path} does not fit this version: {reason}") from None
    return config


def agree(workdir: Path, config: ConfigDict) -> None:
    """Checks that `workdir` is new, or of the training that `config` describes; writes nothing.

    Raises:
      InputError: the folder is of another training (the differences are named).
    """
    if not (workdir / CONFIG).exists():
        return
    old, new = flatten(read_config(workdir)), flatten(config)
    if bool(old["data.folder"]) != bool(new["data.folder"]):
        raise InputError(
            f"{workdir} was trained on {old['data.folder'] or 'no folder'!r}, not on "
            f"{new['data.folder'] or 'no folder'!r}: give the same --config.data.folder"
        )
    differing = [
        f"{name} is {old[name]} there, {new[name]} here"
        for name in new
        if old[name] != new[name] and not name.startswith(FREE)
    ]
    if differing:
        raise InputError(
            f"{workdir} holds another training: {'; '.join(differing)}. "
            "Choose another --workdir, or ask for the same"
        )


def store(workdir: Path, config: ConfigDict) -> None:
    """Makes the working directory if need be, and stores `config` in it.

    Raises:
      InputError: it cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with atomic_path(workdir / CONFIG) as temporary:
            temporary.write_text(config.to_json(indent=2) + "\n")
    except OSError as error:
        raise InputError(f"cannot write in {workdir}: {error.strerror}") from None
