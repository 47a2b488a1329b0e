"""The EDSR encoder without its upsampler (arXiv 1707.02921), the common yardstick."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3x3, no batch normalisation."""

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.relu(nn.Conv(self.features, (3, 3), dtype=self.dtype)(x))
        return x + nn.Conv(self.features, (3, 3), dtype=self.dtype)(y)


class EDSR(nn.Module):
    """LR pictures [B, h, w, 3] in [0, 1] to features [B, h, w, features].

    The paper's EDSR-baseline has 16 blocks of 64 features.

    Attributes:
      remat: whether gradients compute what is inside blocks anew instead of keeping it.
    """

    features: int
    blocks: int
    dtype: jnp.dtype = jnp.float32
    remat: bool = False

    spacing = 1  # LR pixels between features
    init_shape = (8, 8, 3)

    @property
    def receptive_field(self) -> int:
        """LR pixels that a feature sees on each side of its own."""
        return 2 * self.blocks + 2

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        x = nn.Conv(self.features, (3, 3), dtype=self.dtype, name="head")(2 * image - 1)
        skip = x
        block = nn.remat(ResidualBlock) if self.remat else ResidualBlock
        for i in range(self.blocks):
            x = block(self.features, self.dtype, name=f"block_{i}")(x)
        return skip + nn.Conv(self.features, (3, 3), dtype=self.dtype, name="tail")(x)
