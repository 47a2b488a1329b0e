"""How a stored orientation is undone; the numbers are EXIF's."""

from collections.abc import Callable, Mapping

import numpy as np

_TURNS: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
TRANSPOSING = (5, 6, 7, 8)


def upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """The samples [h, w, ...] as they are to be looked at; unknown orientations change nothing."""
    turn = _TURNS.get(orientation)
    return samples if turn is None else np.ascontiguousarray(turn(samples))
