"""What is known of a training besides its checkpoints: what it cost, and whether it failed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from inr_sr.errors import InputError
from inr_sr.files import atomic_path

RECORD = "record.json"


@dataclass
class Record:
    """Written in the folder of a training as it goes.

    Attributes:
      encoder, decoder: parameters of either.
      hardware: what it was trained on.
      seconds: by the clock, over all starts, compilation included and evaluation not. What a kill
        undid is not counted, to within a checkpoint: it is done again.
      failure: why it cannot be finished; "" while nothing speaks against it.
    """

    encoder: int
    decoder: int
    hardware: str
    seconds: float = 0.0
    failure: str = ""

    def write(self, folder: Path) -> None:
        """Writes the record, whole or not at all."""
        with atomic_path(folder / RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read_record(folder: Path) -> Record | None:
    """The record of a training, or None before it has one.

    Raises:
      InputError: it cannot be read.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
