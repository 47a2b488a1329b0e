"""Scales as people write them: 4, 3.7, or 2x3.5 for rows x columns."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from inr_sr.errors import InputError

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_SCALE = re.compile(f"{_NUMBER}(?:x{_NUMBER})?")


@dataclass(frozen=True)
class Scale:
    """A magnification, rows and columns apart, and the text that names it in every table."""

    rows: float
    cols: float
    label: str

    @property
    def axes(self) -> tuple[float, float]:
        return self.rows, self.cols


def check_scale(scale: Any) -> float:
    """Returns `scale` as a float, or raises InputError unless it is finite and above 0."""
    try:
        value = float(scale)
    except (TypeError, ValueError):
        raise InputError(f"scale {scale!r} is no number; it must be finite and above 0") from None
    if not math.isfinite(value) or value <= 0:
        raise InputError(f"scale {scale} is not allowed; it must be finite and above 0")
    return value


def output_size(n_in: int, scale: float) -> int:
    """Output pixels of an axis of `n_in` pixels enlarged by `scale`: rounded half up, >= 1.

    Exact in the decimal that the scale was written in: 100 pixels times 1.005 are 101.
    """
    return max(1, math.floor(n_in * Fraction(repr(check_scale(scale))) + Fraction(1, 2)))


def parse_scale(text: str) -> tuple[float, float]:
    """(rows, cols) of "4", "3.7" or "2x3.5".

    Raises:
      InputError: anything else, and 0.
    """
    match = _SCALE.fullmatch(text.strip().lower())
    rows, cols = (float(n) for n in (match[1], match[2] or match[1])) if match else (0.0, 0.0)
    if not all(0 < scale < math.inf for scale in (rows, cols)):
        raise InputError(
            f"scale {text.strip()!r} is not allowed; expected a number above 0 such as 4 or 3.7, "
            "or ROWSxCOLUMNS such as 2x3.5"
        )
    return rows, cols


def scale_label(rows: float, cols: float) -> str:
    """What tables and file names call a scale: "2", "2.7", or "2x3.5" where the axes differ."""
    by_row, by_col = (f"{scale:.10g}" for scale in (rows, cols))
    return by_row if by_row == by_col else f"{by_row}x{by_col}"


def parse_scales(text: str) -> list[Scale]:
    """Scales from text such as "2,2.7,3,4,8,2x3.5"; "2x3.5" is rows x columns.

    Labels lose idle zeros ("2.0" becomes "2"); a scale named twice is taken once.

    Raises:
      InputError: an empty list, an entry that is no number, or one below 1, which has no
        ground truth to be compared with.
    """
    scales: dict[str, Scale] = {}
    for entry in text.split(","):
        rows, cols = parse_scale(entry)
        if min(rows, cols) < 1:
            raise InputError(f"scale {entry.strip()!r} is not allowed: it must be at least 1")
        label = scale_label(rows, cols)
        scales[label] = Scale(rows, cols, label)
    return list(scales.values())
