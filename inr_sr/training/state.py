"""What training changes from step to step, and the devices it lies on."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


@flax.struct.dataclass
class TrainState:
    """Everything a resumed training needs.

    Attributes:
      step: int32 scalar, steps done.
      params: parameters, float32.
      ema: their exponential moving average, which is evaluated and kept.
      opt_state: the optimizer's.
      rng: uint32 key data; the randomness of step t is fold_in(rng, t).
    """

    step: jax.Array
    params: Any
    ema: Any
    opt_state: Any
    rng: jax.Array


def create(params: Any, optimizer: optax.GradientTransformation, seed: int) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        ema=jax.tree.map(jnp.copy, params),
        opt_state=optimizer.init(params),
        rng=jax.random.key_data(jax.random.key(seed)),
    )


def make_mesh() -> Mesh:
    """All devices of all hosts in one axis, "data"."""
    # Auto: under the default, Explicit, pixel shuffles and gathers of a sharded batch fail.
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same value on every device."""
    return NamedSharding(mesh, P())


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts host values on every device of every host; all hosts must hold the same values."""
    sharding = replicated(mesh)

    def put(x: Any) -> jax.Array:
        value = np.asarray(x)
        return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])

    return jax.tree.map(put, tree)
