"""From configuration to model: `default_config` and `build`."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.errors import InputError
from inr_sr.models.decoders import DECODERS
from inr_sr.models.encoders import ENCODERS
from inr_sr.models.model import Model
from inr_sr.models.parts import Shared, check_choice

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
MIN_TRAINED_SIZE = 8


def default_config(shared: Shared | None = None) -> ConfigDict:
    """The `model` section of a configuration; encoders and decoders own theirs.

    Args:
      shared: fields of `config.data` that it follows; None: constants.
    """
    shared = Shared.of() if shared is None else shared
    config = ConfigDict()
    config.dtype = "float32"  # of computation: float32 | bfloat16; parameters are float32
    config.skip = True  # whether the network adds to the bicubic enlargement of the LR image
    # Side in LR pixels (data.patch) of the largest tile for a model whose receptive field is the
    # whole image. Other models have no such limit.
    config.trained_size = shared.patch
    config.encoder = "edsr"  # a name in ENCODERS, inr_sr/models/encoders/__init__.py
    config.decoder = "spectral"  # a name in DECODERS, inr_sr/models/decoders/__init__.py
    for encoder in ENCODERS.values():
        config[encoder.section] = encoder.default_config()
    for decoder in DECODERS.values():
        if decoder.section not in config:
            config[decoder.section] = decoder.default_config(shared)
    return config


def unused_sections(encoder: str, decoder: str) -> set[str]:
    """Names of the sections that a model of this encoder and decoder does not read."""
    known = {part.section for part in ENCODERS.values()}
    known |= {part.section for part in DECODERS.values()}
    used = {part.section for part in (ENCODERS.get(encoder), DECODERS.get(decoder)) if part}
    return known - used


def migrated(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored `model` section of this or an earlier version, with the fields of this version.

    The field `modulated.control` of earlier versions is now the decoder itself, one of
    `studies.controls`.
    """
    model = {name: dict(v) if isinstance(v, Mapping) else v for name, v in stored.items()}
    control = model.get("modulated", {}).pop("control", "none")
    if control != "none" and model["decoder"] == "modulated":
        model["decoder"] = control
    return model


def complete(stored: Mapping[str, Any]) -> ConfigDict:
    """A `model` section from a weights file, with defaults for fields that the file lacks.

    Only the sections of the encoder and decoder in use are read: the others may hold values that
    this version refuses.

    Raises:
      AttributeError, KeyError, TypeError, ValueError: fields or types this version does not know.
    """
    # Copied, so that numbers that are one in a full configuration do not overwrite each other.
    config = default_config().copy_and_resolve_references().lock()
    model = migrated(stored)
    unused = unused_sections(model["encoder"], model["decoder"])
    config.update({name: value for name, value in model.items() if name not in unused})
    return config


def build(config: ConfigDict, *, remat: bool = False) -> Model:
    """The model that `config` describes.

    Args:
      config: the `model` section of a configuration.
      remat: gradient checkpointing of the encoder's blocks.

    Raises:
      InputError: an unknown encoder, decoder or dtype, a number out of range, bands that do not
        rise, or a decoder that cannot use the encoder's features.
    """
    if config.trained_size < MIN_TRAINED_SIZE:
        raise InputError(
            f"model.trained_size {config.trained_size} must be at least {MIN_TRAINED_SIZE}"
        )
    check_choice("model.dtype", config.dtype, sorted(DTYPES))
    check_choice("model.encoder", config.encoder, sorted(ENCODERS))
    check_choice("model.decoder", config.decoder, sorted(DECODERS))
    dtype = DTYPES[config.dtype]
    encoder = ENCODERS[config.encoder].from_config(config, dtype, remat)
    decoder = DECODERS[config.decoder].from_config(config, dtype, encoder.spacing)
    if encoder.spacing != 1 and not decoder.takes_tokens:
        raise InputError(
            f"the decoder {config.decoder!r} needs features of every LR pixel, which the encoder "
            f"{config.encoder!r} does not make; "
            f"decoders of tokens: {', '.join(n for n, d in DECODERS.items() if d.takes_tokens)}"
        )
    return Model(
        encoder=encoder, decoder=decoder, skip=config.skip, trained_size=config.trained_size
    )
