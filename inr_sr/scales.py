"""Scales as people write them: 4, 3.7, or 2x3.5 for rows x columns."""

import math
import re
from typing import Any

from inr_sr.errors import InputError

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_SCALE = re.compile(f"{_NUMBER}(?:x{_NUMBER})?")


def check_scale(scale: Any) -> float:
    """Returns `scale` as a float, or raises InputError unless it is finite and above 0."""
    try:
        value = float(scale)
    except (TypeError, ValueError):
        raise InputError(f"scale {scale!r} is no number; it must be finite and above 0") from None
    if not math.isfinite(value) or value <= 0:
        raise InputError(f"scale {scale} is not allowed; it must be finite and above 0")
    return value


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
