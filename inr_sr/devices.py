"""The devices of all hosts in one mesh, and how values are laid on them."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P


def make_mesh() -> Mesh:
    """All devices of all hosts in one axis, "data"."""
    # Auto: under the default, Explicit, pixel shuffles and gathers of a sharded batch fail.
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole value on every device."""
    return NamedSharding(mesh, P())


def spread(mesh: Mesh) -> NamedSharding:
    """The second axis cut over the devices: batches come as [slice or step, batch, ...]."""
    return NamedSharding(mesh, P(None, "data"))


def place(tree: Any, sharding: NamedSharding) -> Any:
    """Lays host values on the devices; every host must hold the same, whole values."""

    def put(x: Any) -> jax.Array:
        value = np.asarray(x)
        return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])

    return jax.tree.map(put, tree)
