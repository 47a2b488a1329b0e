"""EDSR's own upsampler (arXiv 1609.05158, 1707.02921): sub-pixel convolutions, one fixed scale."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from inr_sr.coordinates import Axis
from inr_sr.errors import InputError


def shuffle(x: jax.Array, factor: int) -> jax.Array:
    """[B, h, w, C * factor^2] to [B, h * factor, w * factor, C]."""
    batch, h, w, channels = x.shape
    x = x.reshape(batch, h, w, factor, factor, channels // factor**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, h * factor, w * factor, -1)


@flax.struct.dataclass
class PixelShuffleField:
    """A picture `scale` times the lattice: it answers at that scale's pixel centres only.

    Attributes:
      image: [B, h, w, 3] the LR picture that the bicubic skip enlarges.
      residual: [B, h * scale, w * scale, 3].
    """

    image: jax.Array
    residual: jax.Array
    scale: int = flax.struct.field(pytree_node=False)

    def points(self, cell: jax.Array, delta: jax.Array, footprint: jax.Array) -> jax.Array:
        """Residual [B, Q, 3] of the output pixels that hold the queries; footprint is fixed."""
        slot = jnp.floor((delta + 0.5) * self.scale).astype(jnp.int32)
        pixel = cell * self.scale + jnp.clip(slot, 0, self.scale - 1)
        index = (pixel[..., 0] * self.residual.shape[2] + pixel[..., 1])[..., None]
        flat = self.residual.reshape(self.residual.shape[0], -1, 3)
        return jnp.take_along_axis(flat, index, axis=1)

    def grid(self, rows: Axis, cols: Axis) -> jax.Array:
        """Residual [B, len(rows), len(cols), 3].

        Raises:
          InputError: a scale other than the trained one.
        """
        if (rows.slots, cols.slots) != (self.scale, self.scale):
            raise InputError(
                f"this pixel-shuffle model enlarges by exactly {self.scale}, "
                f"not by about {rows.slots}x{cols.slots}"
            )
        row, col = (axis.first * self.scale + axis.select for axis in (rows, cols))
        return self.residual[:, row][:, :, col]


class PixelShuffleDecoder(nn.Module):
    """Features [B, h, w, C] and the LR picture to a PixelShuffleField of a fixed integer scale."""

    scale: int
    dtype: jnp.dtype = jnp.float32

    receptive_field = 2  # the convolutions at LR and at output resolution

    @nn.compact
    def __call__(self, features: jax.Array, image: jax.Array) -> PixelShuffleField:
        x, width = features, features.shape[-1]
        for i, factor in enumerate((2, 2) if self.scale == 4 else (self.scale,)):
            x = nn.Conv(width * factor**2, (3, 3), dtype=self.dtype, name=f"upsample_{i}")(x)
            x = shuffle(x, factor)
        last = nn.Conv(3, (3, 3), dtype=self.dtype, kernel_init=nn.initializers.zeros, name="last")
        return PixelShuffleField(image, last(x).astype(jnp.float32), self.scale)
