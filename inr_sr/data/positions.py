"""Where crops may lie: every position of a set of pictures is as likely as any other."""

from collections.abc import Sequence

import numpy as np

from inr_sr.errors import InputError


def position_counts(sizes: Sequence[tuple[int, int]], side: int) -> np.ndarray:
    """How many positions a square has in each picture: down, across; 0 where it is too long.

    Args:
      sizes: (rows, cols) of each picture.
      side: of the square, pixels.

    Returns:
      int64 [P, 2].

    Raises:
      InputError: no picture holds it, or there is none.
    """
    if not sizes:
        raise InputError("there are no pictures to cut crops from")
    shape = np.array(sizes, np.int64)
    largest = shape[shape.min(axis=1).argmax()]
    if largest.min() < side:
        raise InputError(
            f"every picture is smaller than a crop of {side}x{side} pixels (the "
            f"largest is {largest[0]}x{largest[1]}); lower data.patch or data.max_scale"
        )
    return np.maximum(shape - side + 1, 0)
