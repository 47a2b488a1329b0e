"""Adversarial losses, gradient penalties, and how much the adversary's gradients weigh.

Logits are [B, ...]: one for each picture, or for each place of it; real and fake logits are of the
same LR pictures, in the same order. Losses are means over all of them.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

HIGHEST_WEIGHT = 1e4


class Game(NamedTuple):
    """The two sides' losses, each a function of (real logits, fake logits)."""

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


def gradient_penalty(judge: Callable[[jax.Array], jax.Array], pictures: jax.Array) -> jax.Array:
    """Mean of |grad D|^2 / 2: R1 at real pictures, R2 at fakes, both to be times gamma.

    (arXiv 1801.04406.) Where D has N logits for a picture it is |grad sum of them|^2 / 2N: the mean
    over logits that see different pixels, so that gamma means the same for squares of every size.

    Args:
      judge: pictures to logits [B, ...], each picture by itself.
      pictures: [B, n, m, 3].
    """

    def total(x: jax.Array) -> tuple[jax.Array, int]:
        logits = judge(x)
        return jnp.sum(logits), logits.size

    gradient, count = jax.grad(total, has_aux=True)(pictures)
    return jnp.sum(jnp.square(gradient)) / (2 * count)


def feature_matching(real: Sequence[jax.Array], fake: Sequence[jax.Array]) -> jax.Array:
    """Mean |difference| of a discriminator's features, the mean over its layers.

    (arXiv 1711.11585, equation 4.) The features [B, n, m, C] of one picture after the other.
    """
    layers = [jnp.mean(jnp.abs(a - b)) for a, b in zip(real, fake, strict=True)]
    return jnp.mean(jnp.stack(layers))


def adaptive_weight(reconstruction: Any, adversary: Any) -> jax.Array:
    """|grad L_rec| / (|grad L_G| + 1e-4), in [0, 1e4] (VQGAN, arXiv 2012.09841, equation 7).

    Args:
      reconstruction, adversary: gradients of the two losses by the decoder's last layer, alike.
    """
    ratio = optax.tree.norm(reconstruction) / (optax.tree.norm(adversary) + 1e-4)
    return jax.lax.stop_gradient(jnp.clip(ratio, 0, HIGHEST_WEIGHT))
