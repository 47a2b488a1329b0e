"""The frequency matrices of a run: their initial values, and metrics of each step."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from inr_sr.errors import InputError
from inr_sr.files import atomic_path
from inr_sr.models.parts import FREQUENCIES, Labels, Params

RECORD = "first_frequencies.safetensors"


def matrices(params: Params, labels: Labels) -> dict[str, jax.Array]:
    """The frequency matrices [K, 2] by name, cycles per LR pixel.

    Args:
      params: parameters, or a tree like them, such as gradients.
      labels: the optimizer group of each.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        str(path[-1].key): leaf
        for (path, leaf), group in zip(leaves, jax.tree.leaves(labels), strict=True)
        if group == FREQUENCIES
    }


def statistics(params: Params, labels: Labels) -> dict[str, jax.Array]:
    """Mean and maximum of |b|, cycles per LR pixel; {} without frequencies."""
    matrix = matrices(params, labels)
    if not matrix:
        return {}
    length = jnp.linalg.norm(jnp.concatenate(list(matrix.values())), axis=-1)
    return {"frequency_mean": jnp.mean(length), "frequency_max": jnp.max(length)}


def gradient_norm(gradients: Params, labels: Labels) -> dict[str, jax.Array]:
    """Norm of the gradients of all frequencies together, a scalar; {} without frequencies.

    Args:
      gradients: a tree like the parameters.
      labels: the optimizer group of each.
    """
    matrix = matrices(gradients, labels)
    return {"frequency_gradient_norm": optax.tree.norm(matrix)} if matrix else {}


def record(workdir: Path, params: Params, labels: Labels) -> None:
    """Stores the initial frequencies in a run's work folder, in an atomic write.

    Args:
      workdir: the work folder, which exists.
      params: the initial parameters.
      labels: the optimizer group of each.

    Raises:
      OSError: the file cannot be written.
    """
    found = {name: np.asarray(matrix) for name, matrix in matrices(params, labels).items()}
    with atomic_path(workdir / RECORD) as temporary:
        temporary.write_bytes(save(found))


def recorded(workdir: Path) -> dict[str, np.ndarray]:
    """The initial frequencies that `record` stored, by name.

    Raises:
      InputError: there is no record, or it cannot be read.
    """
    path = workdir / RECORD
    try:
        return dict(load_file(path))
    except FileNotFoundError:
        raise InputError(
            f"{workdir} has no record of its initial frequencies ({RECORD}): it was "
            "trained by an earlier version"
        ) from None
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
