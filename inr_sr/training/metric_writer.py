"""The metric writer of a run: metrics.jsonl, and TensorBoard with images."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter

from inr_sr.files import atomic_path

METRICS = "metrics.jsonl"
BOARD = "tensorboard"


def rows(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.jsonl up to the first invalid line: a kill may leave half a line."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:  # no JSON, or no text
            break
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            break
        found.append(row)
    return found


class MetricWriter:
    """Writes a row of numbers per step; without any time, so that equal runs write equal files."""

    def __init__(self, workdir: Path, step: int):
        """Opens the files to continue after `step`; removes later rows and invalid lines.

        Args:
          workdir: the run's work folder, which exists.
          step: number of steps already done; 0: a new run.

        Raises:
          OSError: a file cannot be written.
        """
        path = workdir / METRICS
        kept = [row for row in rows(path) if row["step"] <= step]
        with atomic_path(path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        self._file = path.open("a")
        # Rows of a run that was killed after its last checkpoint are hidden, not repeated.
        self._board = SummaryWriter(str(workdir / BOARD), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one row; it is on disk when this returns."""
        numbers = {name: float(value) for name, value in values.items()}
        self._file.write(json.dumps({"step": step, **numbers}) + "\n")
        self._file.flush()
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)

    def speed(self, step: int, samples_per_second: float) -> None:
        """Writes the speed, to TensorBoard only: it differs between equal runs."""
        self._board.add_scalar("samples_per_second", samples_per_second, step)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """Writes an image [h, w, 3] in [0, 1] to TensorBoard."""
        self._board.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """Flushes and closes both."""
        self._file.close()
        self._board.close()
