"""Scales and output sizes as people write them; without JAX, so that mistakes show at once."""

import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from inr_sr.errors import InputError

MAX_OUTPUT_PIXELS = 10**9
"""Default limit of rows times columns of an output: a gigapixel."""

Size = tuple[int, int]
"""(rows, cols)."""

_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_SCALE = re.compile(f"{_NUMBER}(?:x{_NUMBER})?")


@dataclass(frozen=True)
class Scale:
    """Scale factors of rows and columns, and their name in tables."""

    rows: float
    cols: float
    label: str

    @property
    def axes(self) -> tuple[float, float]:
        return self.rows, self.cols


def check_scale(scale: SupportsFloat | str) -> float:
    """`scale` as a float; raises InputError unless it is finite and above 0."""
    try:
        value = float(scale)
    except (TypeError, ValueError):
        raise InputError(
            f"scale {scale!r} is not a number; it must be finite and above 0"
        ) from None
    if not math.isfinite(value) or value <= 0:
        raise InputError(f"scale {scale} is not allowed; it must be finite and above 0")
    return value


def output_size(n_in: int, scale: float) -> int:
    """Output pixels of an axis: n_in * scale, rounded half up, at least 1.

    Computed with the decimal that the scale was written in: 100 pixels times 1.005 are 101.
    """
    return max(1, math.floor(n_in * Fraction(repr(check_scale(scale))) + Fraction(1, 2)))


def parse_scale(text: str) -> tuple[float, float]:
    """(rows, cols) of "4", "3.7" or "2x3.5".

    Raises:
      InputError: any other text, or a number that is not above 0.
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
    """The name of a scale in tables and file names: "2", "2.7", or "2x3.5" if the axes differ."""
    by_row, by_col = (f"{scale:.10g}" for scale in (rows, cols))
    return by_row if by_row == by_col else f"{by_row}x{by_col}"


def parse_scales(text: str) -> list[Scale]:
    """Scales from text such as "2,2.7,3,4,8,2x3.5"; "2x3.5" is rows x columns.

    Trailing zeros are dropped ("2.0" becomes "2"), and so are scales named twice.

    Raises:
      InputError: an empty list, an entry that is not a number, or one below 1: there is no ground
        truth to compare it with.
    """
    scales: dict[str, Scale] = {}
    for entry in text.split(","):
        rows, cols = parse_scale(entry)
        if min(rows, cols) < 1:
            raise InputError(f"scale {entry.strip()!r} is not allowed: it must be at least 1")
        label = scale_label(rows, cols)
        scales[label] = Scale(rows, cols, label)
    return list(scales.values())


class TooManyPixels(InputError):
    """The output would exceed `max_pixels`."""


def target_size(
    shape: Sequence[int],
    *,
    size: Sequence[int] | None = None,
    scale: float | str | Sequence[float] | None = None,
    width: int | None = None,
    height: int | None = None,
    max_pixels: int | None = MAX_OUTPUT_PIXELS,
) -> Size:
    """The output size (rows, cols) for an image of shape (rows, cols, ...).

    Exactly one of `size`, `scale`, and `width` and/or `height` is given.

    Args:
      shape: of the image.
      size: output (rows, cols).
      scale: one number, (row, col), or text such as "2x3.5"; sizes are rounded half up.
      width, height: output columns, rows; one of them alone keeps the image's proportions.
      max_pixels: limit of rows times columns; None lifts it.

    Raises:
      InputError: none or several are given, or one is not positive and finite.
      TooManyPixels: an output above the limit.
    """
    rows, cols = shape[0], shape[1]
    if [size is None, scale is None, width is None and height is None].count(False) != 1:
        raise InputError("give exactly one of: output size, scale, width and/or height")
    if size is not None:
        if not isinstance(size, (Sequence, np.ndarray)) or len(size) != 2:
            raise InputError(f"output size {size!r}; expected (rows, cols)")
        out = pixels(size[0], "rows"), pixels(size[1], "columns")
    elif scale is not None:
        pair = _pair(scale)
        if len(pair) != 2:
            raise InputError(f"scale {scale!r}; expected one number or two (row, col)")
        by_row, by_col = (check_scale(s) for s in pair)
        if max(by_row, by_col) > MAX_OUTPUT_PIXELS:
            raise InputError(f"scale {scale} is not allowed: it is absurdly large")
        out = output_size(rows, by_row), output_size(cols, by_col)
    elif width is not None and height is not None:
        out = pixels(height, "height"), pixels(width, "width")
    elif width is not None:
        width = pixels(width, "width")
        out = _in_proportion(rows, cols, width), width
    else:
        assert height is not None  # counted above
        height = pixels(height, "height")
        out = height, _in_proportion(cols, rows, height)
    if max_pixels is not None and out[0] * out[1] > max_pixels:
        raise TooManyPixels(
            f"the output would be {out[1]}x{out[0]} = {out[0] * out[1] / 1e9:.3g} gigapixels; "
            f"at most {max_pixels / 1e9:g} are allowed"
        )
    return out


def _pair(scale: Any) -> tuple[Any, ...]:
    if isinstance(scale, str):
        return parse_scale(scale)
    return (scale, scale) if np.ndim(scale) == 0 else tuple(scale)


def pixels(value: SupportsIndex, what: str) -> int:
    """`value` as an int; raises InputError, which names `what`, unless it is an integer >= 1."""
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{what} {value!r} is not allowed; it must be an integer of 1 or more")
    return number


def _in_proportion(n: int, other: int, other_out: int) -> int:
    """The result of n * other_out / other, rounded half up, at least 1; exact."""
    return max(1, (2 * n * other_out + other) // (2 * other))
