"""The work folder of a run: its stored configuration, and whether another one may resume it."""

import json
from pathlib import Path

from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from inr_sr.config import default, migrated
from inr_sr.errors import InputError
from inr_sr.files import atomic_path
from inr_sr.models.build import unused_sections
from inr_sr.training.checkpoints import CHECKPOINTS
from inr_sr.training.frequencies import RECORD
from inr_sr.training.metric_writer import BOARD, METRICS

CONFIG = "config.json"
IMAGES = "pictures.json"
PERCEPTUAL = "perceptual.json"
# A resumed run must be the same run. These fields, or sections, may differ: how often something is
# done, and the paths of the same images and the same weights of the perceptual loss.
CHANGEABLE = (
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


def fields(config: ConfigDict) -> dict[str, object]:
    """Every field by its dotted name: {"model.edsr.blocks": 16, ...}."""
    flat: dict[str, object] = flatten_dict(config.to_dict(), sep=".")
    return flat


def read_config(workdir: Path) -> ConfigDict:
    """The configuration stored in a work folder.

    Raises:
      InputError: there is none, it cannot be read, or it has fields this version does not know.
    """
    path = workdir / CONFIG
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{workdir} is no work folder: it holds no {CONFIG}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    config = default()
    try:
        config.update(migrated(stored))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].strip("'\"")
        raise InputError(f"{path} does not fit this version: {reason}") from None
    return config


def check_layout(workdir: Path) -> None:
    """Raises InputError where something else lies in the place of a file or folder of a run."""
    for name in (CHECKPOINTS, BOARD):
        if (workdir / name).exists() and not (workdir / name).is_dir():
            raise InputError(f"{workdir / name} is in the way: it is no folder")
    for name in (CONFIG, IMAGES, PERCEPTUAL, RECORD, METRICS):
        if (workdir / name).is_dir():
            raise InputError(f"{workdir / name} is in the way: it is a folder")


def check_same_run(workdir: Path, config: ConfigDict) -> None:
    """Checks that `workdir` holds the run that `config` describes; writes nothing.

    Raises:
      InputError: it holds another run (the message names the differences), or none.
    """
    stored = read_config(workdir)
    if bool(stored.data.folder) != bool(config.data.folder):
        before, now = (c.data.folder or c.data.dataset for c in (stored, config))
        raise InputError(
            f"{workdir} was trained on the images of {before!r}, which those of {now!r} are not: "
            "give the same --config.data.folder"
        )
    old, new = fields(stored), fields(config)
    differing = [
        f"{name} is {old[name]} there, {new[name]} here"
        for name in new
        if old[name] != new[name] and not name.startswith((*CHANGEABLE, *_unused(config)))
    ]
    if differing:
        raise InputError(
            f"{workdir} holds another run: {'; '.join(differing)}. "
            "Choose another --workdir, or the same configuration"
        )


def _unused(config: ConfigDict) -> list[str]:
    """Prefixes of the fields of encoders and decoders that the model does not use."""
    unused = unused_sections(config.model.encoder, config.model.decoder)
    return [f"model.{name}." for name in unused]


def store_checksum(path: Path, sha256: str) -> None:
    """Writes a checksum to a file of an existing work folder, in an atomic write.

    Raises:
      InputError: it cannot be written.
    """
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps({"sha256": sha256}) + "\n")
    except OSError as error:
        raise InputError(f"cannot write in {path.parent}: {error.strerror}") from None


def stored_checksum(path: Path) -> str:
    """The checksum that `store_checksum` wrote.

    Raises:
      InputError: it cannot be read.
    """
    try:
        return str(json.loads(path.read_text())["sha256"])
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def store_config(workdir: Path, config: ConfigDict) -> None:
    """Stores the configuration in the work folder, which is made if it does not exist.

    Raises:
      InputError: it cannot be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with atomic_path(workdir / CONFIG) as temporary:
            temporary.write_text(config.to_json(indent=2) + "\n")
    except OSError as error:
        raise InputError(f"cannot write in {workdir}: {error.strerror}") from None
