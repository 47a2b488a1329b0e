"""Where crops may lie: every position of a set of pictures is as likely as any other."""

from collections.abc import Sequence

import numpy as np

from inr_sr.errors import InputError


def crop_positions(sizes: Sequence[tuple[int, int]], smallest: int) -> np.ndarray:
    """Positions (rows, cols) of a square in each picture; 0 along a side that is too short.

    Args:
      sizes: (rows, cols) of each picture.
      smallest: side of the square, pixels.

    Returns:
      int64 [P, 2].

    Raises:
      InputError: no picture holds one.
    """
    shape = np.array(sizes, np.int64)
    largest = shape[shape.min(axis=1).argmax()]
    if largest.min() < smallest:
        raise InputError(
            f"every picture is smaller than a crop of {smallest}x{smallest} pixels (the "
            f"largest is {largest[0]}x{largest[1]}); lower data.patch or data.max_scale"
        )
    return np.maximum(shape - smallest + 1, 0)
