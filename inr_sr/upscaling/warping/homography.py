"""Projective maps: where the pixels of a warped image come from, and how large they are there."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from inr_sr.coordinates import located
from inr_sr.errors import InputError

_TIE = 1e-9  # LR pixels; nearer to the border of two cells than this is on it, as on exact grids
_WORST_CONDITION = 1e12  # beyond it float64 is wrong by tenths of a pixel in a thousand, or more


class Places(NamedTuple):
    """Positions in an image.

    Attributes:
      cell: int32 [n, 2] the LR pixel, (row, col).
      delta: float64 [n, 2] offset from its centre, LR pixels, in [-0.5, 0.5).
      jacobian: float64 [n, 2, 2] J, how the position moves per output pixel: LR (row, col) by
        output (row, col).
    """

    cell: np.ndarray
    delta: np.ndarray
    jacobian: np.ndarray

    def of(self, mask: np.ndarray) -> "Places":
        """The positions under a mask, bool [n]."""
        return Places(*(x[mask] for x in self))


@dataclass(frozen=True)
class Homography:
    """A projective map from the positions of an image to those of a result.

    Positions are (row, col) in pixels, and pixel i covers [i, i + 1) with its centre at i + 0.5:
    diag(3, 3, 1) enlarges three times, exactly. A matrix M of OpenCV maps (x, y), the centres at
    whole numbers; the same map is S P M P S^-1 here, P = [[0, 1, 0], [1, 0, 0], [0, 0, 1]] and
    S = [[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]].

    Attributes:
      inverse: float64 [3, 3], from the result to the image, with the sign that makes the
        homogeneous coordinate positive where the image is seen from its front.
      size: (rows, cols) of the image.
    """

    inverse: np.ndarray
    size: tuple[int, int]

    @classmethod
    def between(cls, matrix: ArrayLike, size: tuple[int, int], out_size: tuple[int, int]) -> Self:
        """The map of a matrix.

        Args:
          matrix: [3, 3], or [2, 3] for an affine map; from the image to the result. A matrix
            times any number but 0 is the same map: the image's centre is taken to be in front.
          size, out_size: (rows, cols) of the image and of the result.

        Raises:
          InputError: a matrix of another shape, not finite, or that float64 cannot invert.
        """
        try:
            h = np.array(matrix, np.float64)
        except (TypeError, ValueError):
            raise InputError(f"matrix {matrix!r} holds what is no number") from None
        if h.shape not in ((3, 3), (2, 3)):
            raise InputError(f"matrix of shape {h.shape}; expected (3, 3), or (2, 3) if affine")
        if not np.isfinite(h).all():
            raise InputError(f"matrix {h.tolist()} holds numbers that are not finite")
        given = h.tolist()
        if len(h) == 2:
            h = np.vstack([h, [0, 0, 1]])
        h = np.ldexp(h, -np.frexp(np.abs(h).max())[1])  # the same map, far from overflow
        # In units of the images, so that the condition does not depend on their resolution.
        units, out_units = np.array([*size, 1.0]), np.array([*out_size, 1.0])
        condition = np.linalg.cond(h * units / out_units[:, None]) if h.any() else np.inf
        if not condition < _WORST_CONDITION:
            raise InputError(
                f"matrix {given} cannot be inverted: its condition is {condition:.3g}, "
                f"less than {_WORST_CONDITION:g} is allowed"
            )
        front = h[2] @ (size[0] / 2, size[1] / 2, 1)
        return cls(np.linalg.inv(-h if front < 0 else h), size)

    def places(self, rows: slice, cols: slice) -> tuple[np.ndarray, Places]:
        """Where a block of output pixels comes from, in float64: ties must fall into their cells.

        Returns:
          bool [rows, cols], whether they lie in the image and in front of the horizon (w > 0); and
          the places of those that do.
        """
        row, col = (line + 0.5 for line in np.ogrid[rows, cols])
        r, c, w = (m[0] * row + m[1] * col + m[2] for m in self.inverse)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x = np.stack([r / w, c / w], axis=-1)
            border = np.rint(x)
            x = np.where(np.abs(x - border) < _TIE, border, x)
            inside = (w > 0) & np.all((x >= 0) & (x < self.size), axis=-1)
        x, w = x[inside], w[inside]
        cell, delta = located(x)
        # d(n / w) = (dn - (n / w) dw) / w
        moved = self.inverse[:2, :2] - x[:, :, None] * self.inverse[2, :2]
        return inside, Places(cell, delta, moved / w[:, None, None])
