"""The frequency matrices of a training: what they started from, and what becomes of them."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from inr_sr.errors import InputError
from inr_sr.files import atomic_path
from inr_sr.training.optimizer import labels

RECORD = "first_frequencies.safetensors"


def matrices(params: Any) -> dict[str, Any]:
    """The frequency matrices [K, 2] of a model by their names, in cycles per LR pixel."""
    parts = jax.tree.leaves(labels(params))
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        str(path[-1].key): leaf
        for (path, leaf), part in zip(leaves, parts, strict=True)
        if part == "frequencies"
    }


def statistics(params: Any) -> dict[str, jax.Array]:
    """Mean and largest |b| in cycles per LR pixel, and kappa, of a model that has them."""
    found, decoder = {}, params["decoder"]
    matrix = matrices(params)
    if matrix:
        length = jnp.linalg.norm(jnp.concatenate(list(matrix.values())), axis=-1)
        found = {"frequency_mean": jnp.mean(length), "frequency_max": jnp.max(length)}
    if "log_kappa" in decoder:
        found["kappa"] = jnp.exp(decoder["log_kappa"])
    return found


def gradient_norm(gradients: Any) -> dict[str, jax.Array]:
    """The norm of the frequencies' share of the gradients, where there are any."""
    matrix = matrices(gradients)
    return {"frequency_gradient_norm": optax.tree.norm(matrix)} if matrix else {}


def record(workdir: Path, params: Any) -> None:
    """Stores what the frequencies start from."""
    found = {name: np.asarray(matrix) for name, matrix in matrices(params).items()}
    with atomic_path(workdir / RECORD) as temporary:
        temporary.write_bytes(save(found))


def recorded(workdir: Path) -> dict[str, np.ndarray]:
    """What `record` stored.

    Raises:
      InputError: there is no record, or it cannot be read.
    """
    path = workdir / RECORD
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise InputError(
            f"{workdir} has no record of what its frequencies started from ({RECORD}): it was "
            "trained by an earlier version"
        ) from None
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
