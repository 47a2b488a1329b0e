"""The folder of one training: its stored configuration, and whether a new request fits it."""

import json
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from inr_sr.configuration import default
from inr_sr.errors import InputError
from inr_sr.files import atomic_path
from inr_sr.training.checkpoints import CHECKPOINTS
from inr_sr.training.frequencies import RECORD
from inr_sr.training.journal import BOARD, METRICS

CONFIG = "config.json"
PICTURES = "pictures.json"
PERCEPTUAL = "perceptual.json"
# A resumed training must be the same training. What may change: how often it looks up, and where
# the same pictures and the same features of the perceptual loss lie.
FREE = (
    "data.cache_mib",
    "data.folder",
    "data.threads",
    "eval.",
    "perceptual.weights",
    "train.checkpoint_every",
    "train.eval_every",
    "train.log_every",
    "train.steps_per_dispatch",
)


def fields(config: ConfigDict) -> dict[str, Any]:
    """Every field by its dotted name: {"model.edsr.blocks": 16, ...}."""
    return flatten_dict(config.to_dict(), sep=".")


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


def check_layout(workdir: Path) -> None:
    """Raises InputError where something else lies in the place of what a training writes."""
    for name in (CHECKPOINTS, BOARD):
        if (workdir / name).exists() and not (workdir / name).is_dir():
            raise InputError(f"{workdir / name} is in the way: it is no folder")
    for name in (CONFIG, PICTURES, PERCEPTUAL, RECORD, METRICS):
        if (workdir / name).is_dir():
            raise InputError(f"{workdir / name} is in the way: it is a folder")


def agree(workdir: Path, config: ConfigDict) -> None:
    """Checks that `workdir` is of the training that `config` describes; writes nothing.

    Raises:
      InputError: it is of another training (the differences are named), or of none.
    """
    stored = read_config(workdir)
    if bool(stored.data.folder) != bool(config.data.folder):
        raise _other_pictures(workdir, stored, config)
    old, new = fields(stored), fields(config)
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


def agree_pictures(workdir: Path, config: ConfigDict, pictures: str) -> None:
    """Checks that a training of `workdir` was begun on the pictures of this fingerprint.

    Raises:
      InputError: it was begun on others; the folder of the pictures may be another one.
    """
    if _stored_checksum(workdir / PICTURES) != pictures:
        raise _other_pictures(workdir, read_config(workdir), config)


def perceptual_checksum(workdir: Path) -> str:
    """SHA-256 of the file of features that a training's perceptual loss uses; "" without one.

    Raises:
      InputError: it is stored, and cannot be read.
    """
    return _stored_checksum(workdir / PERCEPTUAL) if read_config(workdir).loss.perceptual else ""


def agree_perceptual(workdir: Path, sha256: str) -> None:
    """Checks that a training of `workdir` was begun with the features of this checksum, or none.

    Raises:
      InputError: it was begun with others.
    """
    stored = perceptual_checksum(workdir)
    if stored != sha256:
        raise InputError(
            f"{workdir} was trained with another file of perceptual.weights: its SHA-256 is "
            f"{stored} there, {sha256} here. Give the same file, wherever it lies now"
        )


def _stored_checksum(path: Path) -> str:
    try:
        return str(json.loads(path.read_text())["sha256"])
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _other_pictures(workdir: Path, old: ConfigDict, new: ConfigDict) -> InputError:
    before, now = (config.data.folder or config.data.dataset for config in (old, new))
    if before == now:
        return InputError(f"{workdir} was trained on other pictures than are in {now!r} now")
    return InputError(
        f"{workdir} was trained on the pictures of {before!r}, which those of {now!r} are not: "
        "give the same --config.data.folder"
    )


def store(workdir: Path, config: ConfigDict, pictures: str, perceptual: str) -> None:
    """Makes the working directory if need be, and stores in it what its training is.

    Args:
      workdir: the folder.
      config: the configuration.
      pictures: fingerprint of the pictures that are trained on.
      perceptual: SHA-256 of the file of the perceptual loss's features; "" without that loss.

    Raises:
      InputError: it cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with atomic_path(workdir / CONFIG) as temporary:
            temporary.write_text(config.to_json(indent=2) + "\n")
        for name, checksum in ((PICTURES, pictures), (PERCEPTUAL, perceptual)):
            if checksum:
                with atomic_path(workdir / name) as temporary:
                    temporary.write_text(json.dumps({"sha256": checksum}) + "\n")
    except OSError as error:
        raise InputError(f"cannot write in {workdir}: {error.strerror}") from None
