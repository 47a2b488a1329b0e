"""Chooses the crop with most edges: a network learns most from edges.

Smooth areas of a photo are right with bicubic already; noise, grass and gravel cannot be recovered
from the LR image. Edges are found by the structure tensor, the sum of the gradient's outer products
over a block: at an edge it is large and has one direction (Bigun & Granlund 1987).
"""

import jax
import jax.numpy as jnp

BLOCK = 16  # side of a block, HR pixels
MIN_STRENGTH = 0.04  # root mean square of the gradient, per two pixels, of values in [0, 1]
MIN_COHERENCE = 0.5  # (l1 - l2) / (l1 + l2) for the structure tensor's eigenvalues


def edge_blocks(image: jax.Array) -> jax.Array:
    """The blocks of an image that contain an edge.

    Gradients are taken at half resolution, which reduces noise.

    Args:
      image: uint8 [h, w, 3], both sides multiples of BLOCK.

    Returns:
      bool [h / BLOCK, w / BLOCK].
    """
    h, w, _ = image.shape
    half = image.astype(jnp.float32).reshape(h // 2, 2, w // 2, 2, 3).mean(axis=(1, 3, 4)) / 255
    # Both differences use the same four pixels: sharing a single one would correlate them, and
    # noise would seem to have a direction.
    half = jnp.pad(half, ((0, 1), (0, 1)), mode="edge")
    a, b, c, d = half[:-1, :-1], half[:-1, 1:], half[1:, :-1], half[1:, 1:]
    by_row, by_col = (c + d - a - b) / 2, (b + d - a - c) / 2

    def summed(x: jax.Array) -> jax.Array:
        side = BLOCK // 2
        return x.reshape(h // BLOCK, side, w // BLOCK, side).sum(axis=(1, 3))

    energy = summed(by_row**2 + by_col**2)
    directed = jnp.hypot(summed(by_row**2 - by_col**2), summed(2 * by_row * by_col))
    strong = energy > MIN_STRENGTH**2 * (BLOCK // 2) ** 2
    return strong & (directed > MIN_COHERENCE * energy)


def most_edges(crops: jax.Array, border: int, extent: jax.Array) -> jax.Array:
    """The crop whose inside has most blocks with an edge.

    Args:
      crops: uint8 [n, side, side, 3].
      border: pixels around the inside.
      extent: side of the inside, pixels; scalar, traced.

    Returns:
      uint8 [side, side, 3].
    """
    count = max(1, (crops.shape[1] - 2 * border) // BLOCK)
    inside = crops[:, border:, border:][:, : count * BLOCK, : count * BLOCK]
    missing = count * BLOCK - inside.shape[1]
    inside = jnp.pad(inside, ((0, 0), (0, missing), (0, missing), (0, 0)), mode="edge")
    centres = (jnp.arange(count, dtype=jnp.float32) + 0.5) * BLOCK
    counted = (centres < extent) | (jnp.arange(count) == 0)
    found = jax.vmap(edge_blocks)(inside) & counted[None, :, None] & counted[None, None, :]
    return crops[jnp.argmax(found.sum(axis=(1, 2)))]
