"""Discriminators: whether an image is real, given the LR image it belongs to.

Kernels are divided by an estimate of their largest singular value (spectral normalisation, arXiv
1802.05957), from one power iteration per call on a vector in the collection `batch_stats`. Without
batch normalisation, an image's logits do not depend on the rest of its batch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from inr_sr.errors import InputError

HALVINGS = 3
MIN_SIDE, SIDE_MULTIPLE = 2 ** (HALVINGS + 1), 2**HALVINGS  # of an image, pixels
STATISTICS = "batch_stats"  # what flax calls the collection


class Discrimination(NamedTuple):
    """A discriminator's output.

    Attributes:
      logits: [B, n, m], one for each patch or pixel; above 0 means real.
      features: [B, ., ., C] after each activation, in order.
    """

    logits: jax.Array
    features: tuple[jax.Array, ...]


def check_sides(sides: Sequence[int]) -> None:
    """Raises InputError unless images of these sides, pixels, can be halved HALVINGS times."""
    if any(side < MIN_SIDE or side % SIDE_MULTIPLE for side in sides):
        raise InputError(
            f"a discriminator cannot take images of {'x'.join(map(str, sides))} pixels; sides "
            f"must be multiples of {SIDE_MULTIPLE}, at least {MIN_SIDE}"
        )


class _Layers(nn.Module):
    """Layers that the discriminators share."""

    width: int

    def start(self, image: jax.Array, condition: jax.Array) -> jax.Array:
        """Image and condition in one array [B, n, m, 6], centred on 0."""
        check_sides(image.shape[1:3])
        return 2 * jnp.concatenate([image, condition], axis=-1) - 1

    def activated(self, layer: nn.Conv, x: jax.Array, update: bool | None = None) -> jax.Array:
        """LeakyReLU of a layer; with spectral normalisation unless `update` is None."""
        if update is None:
            return nn.leaky_relu(layer(x), 0.2)
        normalised = nn.SpectralNorm(layer, name=f"{layer.name}_norm")
        return nn.leaky_relu(normalised(x, update_stats=update), 0.2)


class UNetDiscriminator(_Layers):
    """A U-Net with a logit for each pixel (Real-ESRGAN, arXiv 2107.10833).

    The paper's `width` is 64.
    """

    @nn.compact
    def __call__(
        self, image: jax.Array, condition: jax.Array, update: bool = False
    ) -> Discrimination:
        """Logits and features of images.

        Args:
          image: [B, n, m, 3] in [0, 1]; generated images may reach beyond.
          condition: [B, n, m, 3] in [0, 1], the LR image, enlarged to the same pixels.
          update: whether to update `batch_stats`, which must then be mutable.

        Raises:
          InputError: a side that is no multiple of SIDE_MULTIPLE, or below MIN_SIDE.
        """
        first = nn.Conv(self.width, (3, 3), name="first")
        x = self.activated(first, self.start(image, condition))
        features = [x]
        for i in range(HALVINGS):
            down = nn.Conv(2 ** (i + 1) * self.width, (4, 4), 2, use_bias=False, name=f"down_{i}")
            x = self.activated(down, x, update)
            features.append(x)
        for i in reversed(range(HALVINGS)):
            batch, n, m, channels = x.shape
            x = jax.image.resize(x, (batch, 2 * n, 2 * m, channels), "bilinear")
            up = nn.Conv(2**i * self.width, (3, 3), use_bias=False, name=f"up_{i}")
            x = self.activated(up, x, update) + features[i]
            features.append(x)
        for i in range(2):
            same = nn.Conv(self.width, (3, 3), use_bias=False, name=f"same_{i}")
            x = self.activated(same, x, update)
            features.append(x)
        return Discrimination(nn.Conv(1, (3, 3), name="logits")(x)[..., 0], tuple(features))


class PatchDiscriminator(_Layers):
    """A logit for each patch of 70 x 70 pixels, every 8 pixels (PatchGAN, arXiv 1611.07004).

    The paper's `width` is 64, and it has batch normalisation in place of the spectral one.
    """

    @nn.compact
    def __call__(
        self, image: jax.Array, condition: jax.Array, update: bool = False
    ) -> Discrimination:
        """See `UNetDiscriminator`."""
        first = nn.Conv(self.width, (4, 4), 2, name="first")
        x = self.activated(first, self.start(image, condition))
        features = [x]
        for i in range(HALVINGS):
            stride = 2 if i < HALVINGS - 1 else 1
            down = nn.Conv(
                2 ** (i + 1) * self.width, (4, 4), stride, use_bias=False, name=f"down_{i}"
            )
            x = self.activated(down, x, update)
            features.append(x)
        return Discrimination(nn.Conv(1, (4, 4), name="logits")(x)[..., 0], tuple(features))


DISCRIMINATORS = {"unet": UNetDiscriminator, "patch": PatchDiscriminator}
