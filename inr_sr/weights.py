"""Weights files: safetensors with the parameters, the model's configuration, and facts.

Reading one runs no code from it. Its metadata are strings: "format" is FORMAT, "name" the network's
name in tables, "config" the JSON of the `model` section of a configuration, "training" the JSON of
facts about the run, and "sha256" the checksum of the tensors. The weights in the package are
`pretrained/NAME.safetensors`, each with a model card NAME.md beside it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from inr_sr.errors import InputError
from inr_sr.files import atomic_path

if TYPE_CHECKING:  # JAX, which the command imports late
    from inr_sr.models import Model, Params

FORMAT = "inr_sr/1"
SUFFIX = ".safetensors"
PRETRAINED = Path(__file__).with_name("pretrained")
DEFAULT = "compact"


@dataclass(frozen=True)
class Weights:
    """A network's parameters and what its file says about them.

    Attributes:
      name: its name in tables and messages.
      params: nested dicts of float32 arrays.
      config: the `model` section of a configuration, for `models.build`.
      facts: about the training run, such as steps, data and hardware.
      sha256: checksum of the tensors.
    """

    name: str
    params: "Params"
    config: ConfigDict
    facts: Mapping[str, object]
    sha256: str


def names() -> list[str]:
    """Names of the weights in the package."""
    return sorted(path.stem for path in PRETRAINED.glob(f"*{SUFFIX}"))


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """The weights file of a name in the package, or of a path.

    Raises:
      InputError: no such name, or no such file.
    """
    text = os.fspath(name_or_path)
    if text in names():
        return PRETRAINED / f"{text}{SUFFIX}"
    path = Path(text)
    if path.is_file():
        return path
    if path.suffix == SUFFIX or path.name != text:
        raise InputError(f"there is no weights file {text}")
    known = ", ".join(names()) or "none"
    raise InputError(f"unknown weights {text!r}; there are: {known}; or give a {SUFFIX} file")


def save_weights(
    path: str | os.PathLike[str],
    params: "Params",
    config: ConfigDict,
    facts: Mapping[str, object],
    *,
    name: str | None = None,
) -> None:
    """Writes a weights file, in an atomic write.

    Args:
      path: the file; its folder exists.
      params: nested mappings of arrays, float32.
      config: the `model` section of the configuration that built the model.
      facts: about the training run, values that JSON can hold.
      name: the network's name in tables; None: the file's stem.
    """
    tensors = _flatten(params)
    metadata = {
        "format": FORMAT,
        "name": Path(path).stem if name is None else name,
        "config": config.to_json(sort_keys=True),
        "training": json.dumps(dict(facts), sort_keys=True),
        "sha256": checksum(tensors),
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata))


def load_weights(name_or_path: str | os.PathLike[str]) -> Weights:
    """Reads a weights file and checks it; does not import JAX.

    `load_model` checks that parameters fit their configuration.

    Raises:
      InputError: no such name or file; a file that is damaged or not from `save_weights`.
    """
    path = find(name_or_path)
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(
                    f"{path} holds no weights of this package: its format is "
                    f"{metadata.get('format', 'not stated')!r}, not {FORMAT!r}"
                )
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            config = ConfigDict(_as_written(json.loads(metadata["config"])))
            facts = json.loads(metadata["training"])
            expected = metadata["sha256"]
    except InputError:
        raise
    except (SafetensorError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is damaged, or no weights file: {reason}") from error
    if checksum(tensors) != expected:
        raise InputError(f"{path} is damaged: its tensors do not match their checksum")
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise InputError(f"{path} holds numbers that are not finite")
    try:
        params = _nest(tensors)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged: a tensor and a group share a name") from error
    return Weights(metadata.get("name") or path.stem, params, config, facts, expected)


def load_model(name_or_path: str | os.PathLike[str]) -> tuple["Model", Weights]:
    """Builds the model that a weights file describes, and checks that the weights fit it.

    Args:
      name_or_path: see `find`.

    Returns:
      The model, and the weights, whose `config` has defaults for fields that the file lacks; see
      `models.complete`.

    Raises:
      InputError: see `load_weights`; a configuration that this version cannot build; parameters
        that are not those of the model.
    """
    import jax
    import jax.numpy as jnp

    from inr_sr import models

    weights = load_weights(name_or_path)
    try:
        config = models.complete(weights.config.to_dict())
        model = models.build(config)
        key = jax.ShapeDtypeStruct((2,), jnp.uint32)
        shapes = jax.eval_shape(lambda key: models.init(model, key), key)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name_or_path} describes no model of this version: {reason}") from error
    check_params(weights.params, shapes, os.fspath(name_or_path))
    return model, replace(weights, config=config)


def check_params(params: "Params", shapes: "Params", name: str) -> None:
    """Checks that parameters fit a model.

    Args:
      params: nested mappings of arrays.
      shapes: nested mappings of objects with a shape, such as `jax.eval_shape` of `models.init`.
      name: names the parameters in the message.

    Raises:
      InputError: a tensor is missing, superfluous or of another shape.
    """
    have = {key: value.shape for key, value in _leaves(params).items()}
    want = {key: tuple(value.shape) for key, value in _leaves(shapes).items()}
    differences = [
        *(f"{key} is missing" for key in want.keys() - have.keys()),
        *(f"{key} is not part of it" for key in have.keys() - want.keys()),
        *(
            f"{key} is {list(have[key])}, not {list(want[key])}"
            for key in want.keys() & have.keys()
            if want[key] != have[key]
        ),
    ]
    if differences:
        more = f" and {len(differences) - 1} more" if len(differences) > 1 else ""
        raise InputError(f"{name}: weights of another model: {min(differences)}{more}")


def checksum(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over name, type, shape and little-endian bytes of the tensors, sorted by name."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key]
        little = tensor.astype(tensor.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{key} {tensor.dtype.name} {list(tensor.shape)}\n".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


def _as_written(value: Any) -> Any:
    """JSON's lists as the tuples of configurations, so that configurations compare equal."""
    if isinstance(value, dict):
        return {key: _as_written(item) for key, item in value.items()}
    return tuple(map(_as_written, value)) if isinstance(value, list) else value


def _leaves(tree: "Params") -> dict[str, Any]:
    """{"a": {"b": x}} to {"a/b": x}."""
    from flax.traverse_util import flatten_dict  # brings JAX, which the command imports late

    leaves: dict[str, Any] = flatten_dict(tree, sep="/")
    return leaves


def _flatten(params: "Params") -> dict[str, np.ndarray]:
    # safetensors writes the bytes as they lie, so they must lie in order.
    return {key: np.asarray(value, order="C") for key, value in _leaves(params).items()}


def _nest(tensors: Mapping[str, np.ndarray]) -> "Params":
    """{"a/b": x} to {"a": {"b": x}}."""
    from flax.traverse_util import unflatten_dict

    nested: Params = unflatten_dict(tensors, sep="/")
    return nested
