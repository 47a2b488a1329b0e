"""Colours at arbitrary positions."""

import jax

from inr_sr.models.field import Field
from inr_sr.render import skip


def points(field: Field, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
    """Colours at arbitrary queries.

    Args:
      field: over [B, h, w] LR pixels.
      cell: int32 [B, Q, 2] LR pixel of each query, (row, col).
      delta: float32 [B, Q, 2] offset from that pixel's centre, LR pixels, in [-0.5, 0.5].
      footprint: float32 [B, Q, 2, 2] J J^T of each output pixel, see
        `coordinates.upright_footprint`; or [B, 1, 2, 2] where they are all alike.

    Returns:
      float32 [B, Q, 3], not clipped.
    """
    values: jax.Array = field.residual.points(cell, delta, footprint)
    return values if field.image is None else skip.at_points(field.image, cell, delta) + values
