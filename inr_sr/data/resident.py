"""Images in device memory, decoded once; crops are cut on the device."""

from collections.abc import Iterable, Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from inr_sr.coordinates import mirrored
from inr_sr.errors import InputError

MAX_PIXELS = 2**31 - 1  # pixels are addressed by int32


@flax.struct.dataclass
class ResidentSet:
    """All images in one buffer.

    Attributes:
      pixels: uint8 [N, 3], image after image, row by row.
      offset: int32 [P] first pixel of each image.
      shape: int32 [P, 2] rows and columns.
      cumulative: float32 [P] share of crop positions in this image and those before it.
      border: pixels that a crop may extend over an image's edge, where it is mirrored.
      crop: side of a crop.
    """

    pixels: jax.Array | np.ndarray
    offset: jax.Array | np.ndarray
    shape: jax.Array | np.ndarray
    cumulative: jax.Array | np.ndarray
    border: int = flax.struct.field(pytree_node=False)
    crop: int = flax.struct.field(pytree_node=False)

    @classmethod
    def from_images(cls, images: Iterable[np.ndarray], *, crop: int, border: int) -> "ResidentSet":
        """Packs uint8 [h, w, 3] images, without those too small for a crop.

        Raises:
          InputError: no image is large enough, or there are more than MAX_PIXELS in all.
        """
        smallest = crop - 2 * border
        kept, sizes = [], []
        for image in images:
            sizes.append(image.shape[:2])
            if min(image.shape[:2]) >= smallest:
                kept.append(image)
        positions = position_counts(sizes, smallest).prod(axis=1)
        positions = positions[positions > 0]
        shape = np.array([p.shape[:2] for p in kept], np.int64)
        count = shape.prod(axis=1)
        if count.sum() > MAX_PIXELS:
            raise InputError(
                f"{count.sum()} pixels are too many to hold at once (at most {MAX_PIXELS}); "
                "set data.mode = streaming"
            )
        return cls(
            pixels=np.concatenate([p.reshape(-1, 3) for p in kept]),
            offset=(np.cumsum(count) - count).astype(np.int32),
            shape=shape.astype(np.int32),
            cumulative=(np.cumsum(positions) / positions.sum()).astype(np.float32),
            border=border,
            crop=crop,
        )

    def draw(self, keys: jax.Array) -> jax.Array:
        """Random crops, uint8 [B, crop, crop, 3]; all positions in the set are equally likely.

        A crop without its border lies inside the image.
        """
        return jax.vmap(self._draw)(keys)

    def _draw(self, key: jax.Array) -> jax.Array:
        k_image, k_corner = jax.random.split(key)
        u = jax.random.uniform(k_image)
        i = jnp.minimum(jnp.searchsorted(self.cumulative, u, side="right"), len(self.offset) - 1)
        shape = self.shape[i]
        room = (shape - (self.crop - 2 * self.border) + 1).astype(jnp.float32)
        corner = jnp.minimum(jnp.floor(jax.random.uniform(k_corner, (2,)) * room), room - 1)
        steps = jnp.arange(self.crop, dtype=jnp.int32)[None, :]
        at = corner.astype(jnp.int32)[:, None] - self.border + steps  # [2, crop]
        at = mirrored(at, shape[:, None], jnp)
        index = self.offset[i] + at[0][:, None] * shape[1] + at[1][None, :]
        return self.pixels[index]


def position_counts(sizes: Sequence[tuple[int, int]], side: int) -> np.ndarray:
    """Numbers of positions of a square crop in each image, down and across; 0 if it does not fit.

    Both loaders draw all positions of a set with equal probability.

    Args:
      sizes: (rows, cols) of each image.
      side: of the crop, pixels.

    Returns:
      int64 [P, 2].

    Raises:
      InputError: no image, or none that is large enough.
    """
    if not sizes:
        raise InputError("there are no images to cut crops from")
    shape = np.array(sizes, np.int64)
    largest = shape[shape.min(axis=1).argmax()]
    if largest.min() < side:
        raise InputError(
            f"every image is smaller than a crop of {side}x{side} pixels (the "
            f"largest is {largest[0]}x{largest[1]}); lower data.patch or data.max_scale"
        )
    return np.maximum(shape - side + 1, 0)
