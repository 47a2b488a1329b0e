"""What size is asked for; without JAX, so that the command refuses mistakes at once."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from inr_sr.errors import InputError
from inr_sr.scales import check_scale, output_size, parse_scale

MAX_OUTPUT_PIXELS = 10**9
"""Default limit of an enlarged picture: a gigapixel."""

Size = tuple[int, int]
"""(rows, cols)."""


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
    """The output (rows, cols) that a request means for a picture of shape (rows, cols, ...).

    Args:
      shape: the picture's.
      size: output (rows, cols).
      scale: one number, (row, col), or text such as "2x3.5"; sizes are rounded half up.
      width, height: output columns, rows; one of them alone keeps the picture's proportions.
      max_pixels: limit of rows times columns; None lifts it.

    Raises:
      InputError: not exactly one request, or one that is not positive and finite.
      TooManyPixels: an output beyond the limit.
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
        height = pixels(height, "height")
        out = height, _in_proportion(cols, rows, height)
    if max_pixels is not None and out[0] * out[1] > max_pixels:
        raise TooManyPixels(
            f"the output would be {out[1]}x{out[0]} = {out[0] * out[1] / 1e9:.3g} gigapixels; "
            f"at most {max_pixels / 1e9:g} are made unless that is confirmed"
        )
    return out


def _pair(scale: Any) -> tuple[Any, ...]:
    if isinstance(scale, str):
        return parse_scale(scale)
    return (scale, scale) if np.ndim(scale) == 0 else tuple(scale)


def pixels(value: Any, what: str) -> int:
    """`value` as an int, or InputError unless it is a whole number of 1 or more."""
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{what} {value!r} is not allowed; it must be an integer of 1 or more")
    return number


def _in_proportion(n: int, other: int, other_out: int) -> int:
    """The n that belongs to other_out as n to other: rounded half up, at least 1, exact."""
    return max(1, (2 * n * other_out + other) // (2 * other))
