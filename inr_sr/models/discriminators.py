"""Discriminators: whether a picture is real, given the LR picture it belongs to.

Kernels are divided by an estimate of their largest singular value (spectral normalisation, arXiv
1802.05957): one power iteration a call, from a vector in the collection `batch_stats`. There is no
batch normalisation, so that a picture is judged by itself, wherever its batch lies.
"""

from collections.abc import Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from inr_sr.errors import InputError

HALVINGS = 3
LEAST_SIDE, STEP = 2 ** (HALVINGS + 1), 2**HALVINGS  # of a picture, pixels
STATISTICS = "batch_stats"  # what flax calls the collection


class Judgement(NamedTuple):
    """What a discriminator makes of pictures.

    Attributes:
      logits: [B, n, m], one for each place; above 0 means real.
      features: [B, ., ., C] after each activation, in order.
    """

    logits: jax.Array
    features: tuple[jax.Array, ...]


def check_sides(sides: Sequence[int]) -> None:
    """Raises InputError unless pictures of these sides can be halved HALVINGS times."""
    if any(side < LEAST_SIDE or side % STEP for side in sides):
        raise InputError(
            f"a discriminator cannot judge pictures of {'x'.join(map(str, sides))} pixels; sides "
            f"must be multiples of {STEP}, at least {LEAST_SIDE}"
        )


class _Layers(nn.Module):
    """What the two have in common: how layers are made, and that activations are noted."""

    width: int

    def start(self, image: jax.Array, condition: jax.Array) -> jax.Array:
        """Picture and condition in one array, centred on 0."""
        check_sides(image.shape[1:3])
        return 2 * jnp.concatenate([image, condition], axis=-1) - 1

    def activated(self, layer: nn.Conv, x: jax.Array, update: bool | None = None) -> jax.Array:
        """LeakyReLU of a layer; normalised where `update` (of the statistics) is given."""
        if update is None:
            return nn.leaky_relu(layer(x), 0.2)
        normalised = nn.SpectralNorm(layer, name=f"{layer.name}_norm")
        return nn.leaky_relu(normalised(x, update_stats=update), 0.2)


class UNetDiscriminator(_Layers):
    """A U-Net with a logit for each pixel (Real-ESRGAN, arXiv 2107.10833).

    Its `width` is 64 in the paper.
    """

    @nn.compact
    def __call__(self, image: jax.Array, condition: jax.Array, update: bool = False) -> Judgement:
        """Judges pictures.

        Args:
          image: [B, n, m, 3] in [0, 1]; fakes may reach beyond.
          condition: [B, n, m, 3] in [0, 1], the LR picture of the same places, enlarged.
          update: whether the spectral statistics move on; their collection must be mutable then.

        Raises:
          InputError: sides that are no multiples of 8, or below 16.
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
        return Judgement(nn.Conv(1, (3, 3), name="logits")(x)[..., 0], tuple(features))


class PatchDiscriminator(_Layers):
    """A logit for each patch of 70 x 70 pixels, every 8 pixels (PatchGAN, arXiv 1611.07004).

    Its `width` is 64 in the paper, which has batch normalisation in place of the spectral one.
    """

    @nn.compact
    def __call__(self, image: jax.Array, condition: jax.Array, update: bool = False) -> Judgement:
        """Judges pictures; see `UNetDiscriminator`."""
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
        return Judgement(nn.Conv(1, (4, 4), name="logits")(x)[..., 0], tuple(features))


DISCRIMINATORS = {"unet": UNetDiscriminator, "patch": PatchDiscriminator}
