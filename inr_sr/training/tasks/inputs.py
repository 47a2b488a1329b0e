"""Which files a run reads, by fingerprint: a resumed run must read the same ones."""

from pathlib import Path

from ml_collections import ConfigDict

from inr_sr.data.sources import Source, fingerprint
from inr_sr.errors import InputError
from inr_sr.training.workdir import (
    PERCEPTUAL,
    PICTURES,
    read_config,
    store_checksum,
    stored_checksum,
)


def agree_images(workdir: Path, config: ConfigDict, source: Source) -> None:
    """Checks that the run in `workdir` was begun on these images, which may have moved.

    Raises:
      InputError: it was begun on others.
    """
    if stored_checksum(workdir / PICTURES) == fingerprint(source):
        return
    old = read_config(workdir)
    before, now = (c.data.folder or c.data.dataset for c in (old, config))
    if before == now:
        raise InputError(f"{workdir} was trained on other images than are in {now!r} now")
    raise InputError(
        f"{workdir} was trained on the images of {before!r}, which those of {now!r} are not: "
        "give the same --config.data.folder"
    )


def perceptual_checksum(workdir: Path) -> str:
    """SHA-256 of the file of features that a run's perceptual loss reads; "" without that loss.

    Raises:
      InputError: it is stored, and cannot be read.
    """
    return stored_checksum(workdir / PERCEPTUAL) if read_config(workdir).loss.perceptual else ""


def agree_perceptual(workdir: Path, sha256: str) -> None:
    """Checks that the run in `workdir` was begun with the features of this checksum, or none.

    Raises:
      InputError: it was begun with others.
    """
    stored = perceptual_checksum(workdir)
    if stored != sha256:
        raise InputError(
            f"{workdir} was trained with another file of perceptual.weights: its SHA-256 is "
            f"{stored} there, {sha256} here. Give the same file, wherever it lies now"
        )


def record(workdir: Path, source: Source, sha256: str) -> None:
    """Stores the fingerprint of the images, and the checksum of the features if there is one."""
    store_checksum(workdir / PICTURES, fingerprint(source))
    if sha256:
        store_checksum(workdir / PERCEPTUAL, sha256)
