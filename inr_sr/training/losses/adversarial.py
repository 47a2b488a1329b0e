"""Adversarial losses, gradient penalties, and the adaptive weight of the adversarial term.

Logits are [B, ...], one or more per image. Real and fake logits belong to the same LR images, in
the same order. Losses are means over all logits.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

MAX_WEIGHT = 1e4


class Game(NamedTuple):
    """Losses of generator and discriminator, each a function of (real logits, fake logits)."""

    generator: Callable[[jax.Array, jax.Array], jax.Array]
    discriminator: Callable[[jax.Array, jax.Array], jax.Array]


def _non_saturating_generator(real: jax.Array, fake: jax.Array) -> jax.Array:
    return jnp.mean(jax.nn.softplus(-fake))


def _non_saturating_discriminator(real: jax.Array, fake: jax.Array) -> jax.Array:
    return jnp.mean(jax.nn.softplus(-real)) + jnp.mean(jax.nn.softplus(fake))


def _hinge_generator(real: jax.Array, fake: jax.Array) -> jax.Array:
    return -jnp.mean(fake)


def _hinge_discriminator(real: jax.Array, fake: jax.Array) -> jax.Array:
    return jnp.mean(jax.nn.relu(1 - real)) + jnp.mean(jax.nn.relu(1 + fake))


def _relativistic_generator(real: jax.Array, fake: jax.Array) -> jax.Array:
    return jnp.mean(jax.nn.softplus(-(fake - real)))


def _relativistic_discriminator(real: jax.Array, fake: jax.Array) -> jax.Array:
    return jnp.mean(jax.nn.softplus(-(real - fake)))


GAMES = {
    # -log D(fake) instead of log(1 - D(fake)) (arXiv 1406.2661)
    "non_saturating": Game(_non_saturating_generator, _non_saturating_discriminator),
    # arXiv 1705.02894
    "hinge": Game(_hinge_generator, _hinge_discriminator),
    # RpGAN: each fake against its own truth (arXiv 1807.00734, R3GAN 2501.05441)
    "relativistic": Game(_relativistic_generator, _relativistic_discriminator),
}


def gradient_penalty(
    discriminator: Callable[[jax.Array], jax.Array], images: jax.Array
) -> jax.Array:
    """Mean of |grad D|^2 / 2: R1 at real images, R2 at fakes, without gamma (arXiv 1801.04406).

    For N logits per image it is |grad sum of logits|^2 / 2N: the mean over logits that depend on
    different pixels, so that gamma means the same for squares of every size.

    Args:
      discriminator: images to logits [B, ...], each image independent of the others.
      images: [B, n, m, 3].
    """

    def total(x: jax.Array) -> tuple[jax.Array, int]:
        logits = discriminator(x)
        return jnp.sum(logits), logits.size

    gradient, count = jax.grad(total, has_aux=True)(images)
    penalty: jax.Array = jnp.sum(jnp.square(gradient)) / (2 * count)
    return penalty


def feature_matching(real: Sequence[jax.Array], fake: Sequence[jax.Array]) -> jax.Array:
    """L1 of a discriminator's features, mean over its layers (arXiv 1711.11585, equation 4).

    Args:
      real, fake: features [B, n, m, C] of each layer.
    """
    layers = [jnp.mean(jnp.abs(a - b)) for a, b in zip(real, fake, strict=True)]
    return jnp.mean(jnp.stack(layers))


def adaptive_weight(
    reconstruction: Sequence[jax.Array], adversary: Sequence[jax.Array]
) -> jax.Array:
    """|grad L_rec| / (|grad L_G| + 1e-4), in [0, 1e4] (VQGAN, arXiv 2012.09841, equation 7).

    Args:
      reconstruction, adversary: gradients of the two losses by the decoder's last layer.
    """
    ratio = optax.tree.norm(reconstruction) / (optax.tree.norm(adversary) + 1e-4)
    return jax.lax.stop_gradient(jnp.clip(ratio, 0, MAX_WEIGHT))
