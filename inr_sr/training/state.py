"""What training changes from step to step."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class AdversaryState:
    """What an adversary changes from step to step.

    Attributes:
      params: the discriminator's parameters, float32.
      statistics: of its spectral normalisation, float32.
      opt_state: its optimizer's.
    """

    params: Any
    statistics: Any
    opt_state: Any


@flax.struct.dataclass
class TrainState:
    """Everything a resumed training needs.

    Attributes:
      step: int32 scalar, steps done.
      params: parameters, float32.
      ema: their exponential moving average, which is evaluated and kept.
      opt_state: the optimizer's.
      rng: uint32 key data; the randomness of step t is fold_in(rng, t).
      adversary: None where there is none.
    """

    step: jax.Array
    params: Any
    ema: Any
    opt_state: Any
    rng: jax.Array
    adversary: AdversaryState | None = None


def create(
    params: Any,
    optimizer: optax.GradientTransformation,
    seed: int,
    adversary: AdversaryState | None = None,
) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params),
        opt_state=optimizer.init(params),
        rng=jax.random.key_data(jax.random.key(seed)),
        adversary=adversary,
    )
