"""What a diagnosis measures on: the parts of held-out images that hold most edges.

All methods enlarge smooth parts alike, and no method can recover texture from the LR image.
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

IMAGES = 8
"""Images that crops are taken from, the first ones that are large enough."""
FROM_EACH = 2


@dataclass(frozen=True)
class EdgeCrop:
    """An LR image of the trained size and its HR truth.

    Attributes:
      image: the name of the image that the crop is from.
      part: number of the crop in that image, from 1.
      lr: uint8 [patch, patch, 3].
      truth: uint8 [H, W, 3].
      scale: from `lr` to `truth`.
    """

    image: str
    part: int
    lr: np.ndarray
    truth: np.ndarray
    scale: Scale

    @property
    def name(self) -> str:
        """For readers."""
        return f"{self.image}, part {self.part}"


def edge_crops(source: Source, scale: Scale, patch: int, dataset: str) -> list[EdgeCrop]:
    """Crops of at most IMAGES images, FROM_EACH of each that holds as many.

    Args:
      source: of images.
      scale: the same for both axes, above 1.
      patch: side of the LR images.
      dataset: name of the source in messages.

    Raises:
      InputError: no image is large enough.
    """
    side = crop_side(scale, patch)
    found: list[EdgeCrop] = []
    images = 0
    for index in range(len(source)):
        if min(source.size(index)) < side:
            continue
        image, name = source[index], source.name(index)
        for number, (row, col) in enumerate(places_of_edges(image, side)[:FROM_EACH], 1):
            truth = image[row : row + side, col : col + side]
            pair = make_pair(truth, scale, name=name)
            found.append(EdgeCrop(name, number, *pair, scale))
        images += 1
        if images == IMAGES:
            break
    if not found:
        raise InputError(
            f"every image of {dataset} is smaller than {side}x{side}, which LR images of "
            f"{patch}x{patch} (data.patch) at scale {scale.label} need"
        )
    return found


def places_of_edges(image: np.ndarray, side: int) -> list[tuple[int, int]]:
    """First pixels (row, col) of the squares of a centred grid, those with most edges first.

    Args:
      image: uint8 [h, w, 3], each side at least `side`.
      side: of a square; edges are counted in blocks of `edges.BLOCK` pixels.
    """
    rows, cols = (n // side for n in image.shape[:2])
    top, left = ((n - m * side) // 2 for n, m in zip(image.shape, (rows, cols)))
    inside = image[top : top + rows * side, left : left + cols * side]
    squares = inside.reshape(rows, side, cols, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
    whole = max(1, side // BLOCK) * BLOCK
    missing = max(0, whole - side)  # of squares that are smaller than a block
    inside = np.pad(squares[:, :whole, :whole], ((0, 0), *2 * [(0, missing)], (0, 0)), mode="edge")
    edges = jax.vmap(edge_blocks)(jnp.asarray(inside))
    order = np.argsort(-np.asarray(edges.sum(axis=(1, 2), dtype=jnp.int32)), kind="stable")
    return [(top + int(n) // cols * side, left + int(n) % cols * side) for n in order]
