"""The EDSR encoder without its upsampler (arXiv 1707.02921), the common baseline."""

from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.models.parts import LAYER_GROUPS, check_minimums


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))), both 3x3, no batch normalisation."""

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.relu(nn.Conv(self.features, (3, 3), dtype=self.dtype)(x))
        return x + nn.Conv(self.features, (3, 3), dtype=self.dtype)(y)


class EDSR(nn.Module):
    """LR images [B, h, w, 3] in [0, 1] to features [B, h, w, features].

    The paper's EDSR-baseline has 16 blocks of 64 features.

    Attributes:
      features, blocks: channels, and number of residual blocks.
      remat: gradient checkpointing of the blocks.
    """

    features: int
    blocks: int
    dtype: jnp.dtype = jnp.float32
    remat: bool = False

    spacing = 1  # LR pixels between features
    init_shape = (8, 8, 3)
    section = "edsr"
    groups = LAYER_GROUPS

    @staticmethod
    def default_config() -> ConfigDict:
        """The attributes of the class, those of EDSR-baseline."""
        return ConfigDict({"features": 64, "blocks": 16})

    @classmethod
    def from_config(cls, model: ConfigDict, dtype: jnp.dtype, remat: bool) -> Self:
        """See `models.encoders`."""
        config = model.edsr
        check_minimums("edsr", config, {"features": 1, "blocks": 0})
        return cls(config.features, config.blocks, dtype, remat)

    @property
    def receptive_field(self) -> int:
        """LR pixels beyond its own that a feature depends on, on each side."""
        return 2 * self.blocks + 2

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        x = nn.Conv(self.features, (3, 3), dtype=self.dtype, name="head")(2 * image - 1)
        skip = x
        block = nn.remat(ResidualBlock) if self.remat else ResidualBlock
        for i in range(self.blocks):
            x = block(self.features, self.dtype, name=f"block_{i}")(x)
        return skip + nn.Conv(self.features, (3, 3), dtype=self.dtype, name="tail")(x)
