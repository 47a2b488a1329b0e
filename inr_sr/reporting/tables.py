"""Tables as Markdown, and measures as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inr_sr.errors import InputError
from inr_sr.files import atomic_path


@dataclass(frozen=True)
class Table:
    """A table for people: its title, the head of its columns, and rows of text.

    `best` holds the (row, column) of the entries to stress.
    """

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()

    def to_markdown(self) -> str:
        """The title, an empty line, and the table with its best entries in bold."""
        rows = [
            [f"**{text}**" if (i, j) in self.best else text for j, text in enumerate(row)]
            for i, row in enumerate(self.rows)
        ]
        return f"{self.title}\n\n{markdown(self.head, rows)}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in GitHub's Markdown: the first column to the left, the others to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def json_text(value: object) -> str:
    """JSON text of mappings, sequences, arrays and numbers.

    JSON has no infinity and no NaN: they become null.
    """
    return json.dumps(_plain(value), indent=2, allow_nan=False) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_text(path: Path, text: str) -> None:
    """Writes a file atomically: `path` holds all of `text`, or what it held before.

    Raises:
      InputError: it cannot be written.
    """
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
