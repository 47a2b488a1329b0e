"""The state of a run, which each step replaces."""

import flax.struct
import jax
import jax.numpy as jnp
import optax

from inr_sr.models.parts import Params


@flax.struct.dataclass
class AdversaryState:
    """The state of an adversary.

    Attributes:
      params: the discriminator's parameters, float32.
      statistics: vectors of its spectral normalisation, float32.
      opt_state: state of its optimizer.
    """

    params: Params
    statistics: Params
    opt_state: optax.OptState


@flax.struct.dataclass
class TrainState:
    """Everything that a resumed run needs.

    Attributes:
      step: int32 scalar, number of steps done.
      params: parameters, float32.
      ema: their exponential moving average, which is validated and exported.
      opt_state: state of the optimizer.
      rng: uint32 key data; the randomness of step t is fold_in(rng, t).
      adversary: None without an adversary.
    """

    step: jax.Array
    params: Params
    ema: Params
    opt_state: optax.OptState
    rng: jax.Array
    adversary: AdversaryState | None = None


def create(
    params: Params,
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
