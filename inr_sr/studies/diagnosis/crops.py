"""What a diagnosis looks at: the parts of held-out pictures that hold most edges.

What is smooth every method enlarges alike, and texture nobody can tell from its LR picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.data.edges import BLOCK, edge_blocks
from inr_sr.data.sources import Source
from inr_sr.errors import InputError
from inr_sr.evaluation.protocols import crop_side, make_pair
from inr_sr.sizes import Scale

PICTURES = 8
"""Pictures that crops are taken from, the first ones that are large enough."""
FROM_EACH = 2


@dataclass(frozen=True)
class Crop:
    """An LR picture of the trained size, and what it is to be enlarged to.

    Attributes:
      picture: the name of the one that it is from.
      part: which of that one's crops it is, from 1.
      lr: uint8 [patch, patch, 3].
      truth: uint8 [H, W, 3].
      scale: between the two.
    """

    picture: str
    part: int
    lr: np.ndarray
    truth: np.ndarray
    scale: Scale

    @property
    def name(self) -> str:
        """For readers."""
        return f"{self.picture}, part {self.part}"


def crops(source: Source, scale: Scale, patch: int, dataset: str) -> list[Crop]:
    """Crops of at most PICTURES pictures, FROM_EACH of each where it holds as many.

    Args:
      source: of pictures.
      scale: the same for both axes, above 1.
      patch: side of the LR pictures.
      dataset: how messages call the source.

    Raises:
      InputError: no picture is large enough.
    """
    side = crop_side(scale, patch)
    found: list[Crop] = []
    pictures = 0
    for index in range(len(source)):
        if min(source.size(index)) < side:
            continue
        picture, name = source[index], source.name(index)
        for number, (row, col) in enumerate(places_of_edges(picture, side)[:FROM_EACH], 1):
            truth = picture[row : row + side, col : col + side]
            pair = make_pair(truth, scale, name=name)
            found.append(Crop(name, number, *pair, scale))
        pictures += 1
        if pictures == PICTURES:
            break
    if not found:
        raise InputError(
            f"every picture of {dataset} is smaller than {side}x{side}, which LR pictures of "
            f"{patch}x{patch} (data.patch) at scale {scale.label} need"
        )
    return found


def places_of_edges(picture: np.ndarray, side: int) -> list[tuple[int, int]]:
    """First pixels (row, col) of squares side by side in the middle, those of most edges first.

    Args:
      picture: uint8 [h, w, 3], each side at least `side`.
      side: of a square; edges are counted in blocks of `edges.BLOCK` pixels.
    """
    rows, cols = (n // side for n in picture.shape[:2])
    top, left = ((n - m * side) // 2 for n, m in zip(picture.shape, (rows, cols)))
    inside = picture[top : top + rows * side, left : left + cols * side]
    squares = inside.reshape(rows, side, cols, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    whole = max(1, side // BLOCK) * BLOCK
    missing = max(0, whole - side)  # of squares that are smaller than a block
    inside = np.pad(squares[:, :whole, :whole], ((0, 0), *2 * [(0, missing)], (0, 0)), mode="edge")
    edges = jax.vmap(edge_blocks)(jnp.asarray(inside))
    order = np.argsort(-np.asarray(edges.sum(axis=(1, 2), dtype=jnp.int32)), kind="stable")
    return [(top + int(n) // cols * side, left + int(n) % cols * side) for n in order]
