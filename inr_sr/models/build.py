"""build(config): the model that a configuration describes, or what is wrong with it."""

import math
import operator
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.errors import InputError
from inr_sr.models.decoders.liif import LiifDecoder
from inr_sr.models.decoders.modulated import CONTROLS, FRAMES, ModulatedDecoder, ring
from inr_sr.models.decoders.pixel_shuffle import PixelShuffleDecoder
from inr_sr.models.decoders.spectral import SpectralDecoder
from inr_sr.models.encoders.edsr import EDSR
from inr_sr.models.encoders.lp_tokens import LAYOUTS, MIXERS, PATCHES, LpTokens
from inr_sr.models.fourier import INITIALISATIONS, STEEPEST
from inr_sr.models.model import Model

MAX_WAVES = 2**12  # some 100 kB per LR pixel
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def _choose(kind: str, name: str, builders: dict[str, Any]) -> Any:
    _check_name(kind, name, tuple(sorted(builders)))
    return builders[name]()


def _check_name(kind: str, name: Any, allowed: tuple[Any, ...]) -> None:
    if name not in allowed:
        raise InputError(f"unknown {kind} {name!r}; there are: {', '.join(map(str, allowed))}")


LEAST = {
    "trained_size": 8,
    "edsr.features": 1, "edsr.blocks": 0,
    "lp_tokens.width": 1, "lp_tokens.blocks": 0, "lp_tokens.heads": 1, "lp_tokens.learned": 1,
    "lp_tokens.states": 1,
    "spectral.width": 1, "spectral.depth": 0, "spectral.gain_order": 0,
    "modulated.features": 2, "modulated.hidden": 1, "modulated.layers": 0, "modulated.heads": 1,
    "modulated.nearest": 0, "modulated.lr_size": 1,
    "liif.width": 1, "liif.layers": 1, "pixel_shuffle.scale": 1,
}  # fmt: skip


def _check_numbers(config: ConfigDict) -> None:
    for name, minimum in LEAST.items():
        value = operator.attrgetter(name)(config)
        if value < minimum:
            raise InputError(f"model.{name} {value} must be at least {minimum}")
    for section in ("spectral", "modulated"):
        scale = config[section].max_scale
        if not 1 <= scale < math.inf:
            raise InputError(f"model.{section}.max_scale {scale} must be finite and at least 1")


def _spectral(config: ConfigDict, dtype: Any) -> SpectralDecoder:
    c = config.spectral
    counts, bands = tuple(c.frequencies), tuple(c.bands)
    whole = all(isinstance(n, int) and n >= 1 for n in counts)
    if whole and sum(counts) > MAX_WAVES:
        raise InputError(
            f"model.spectral.frequencies {counts} are {sum(counts)} waves, whose coefficients take "
            f"{24 * sum(counts)} bytes per LR pixel; at most {MAX_WAVES} are allowed"
        )
    if not (counts and whole and _positive(bands)):
        raise InputError(
            f"model.spectral.frequencies {counts} must be whole numbers of at least 1, and "
            f"model.spectral.bands {bands} numbers above 0"
        )
    if len(bands) != len(counts) or list(bands) != sorted(set(bands)):
        raise InputError(
            f"model.spectral.bands {bands} must rise and be as many as "
            f"model.spectral.frequencies {counts}"
        )
    return SpectralDecoder(
        bands=bands,
        frequencies=counts,
        width=c.width,
        depth=c.depth,
        gain_order=c.gain_order,
        max_scale=c.max_scale,
        dtype=dtype,
    )


def _positive(numbers: tuple[Any, ...]) -> bool:
    return all(isinstance(b, (int, float)) and 0 < b < math.inf for b in numbers)


def _modulated(config: ConfigDict, dtype: Any, spacing: int) -> ModulatedDecoder:
    c = config.modulated
    bands = tuple(c.bands)
    _check_name("model.modulated.initialisation", c.initialisation, INITIALISATIONS)
    _check_name("model.modulated.frame", c.frame, FRAMES)
    _check_name("model.modulated.control", c.control, CONTROLS)
    falls = c.initialisation == "inverse_sigma"
    if not bands or not _positive(bands) or list(bands) != sorted(set(bands), reverse=falls):
        raise InputError(
            f"model.modulated.bands {bands} must be numbers above 0 that "
            f"{'fall: of inverse_sigma they are sigmas' if falls else 'rise'}"
        )
    if not 0 <= c.alpha <= STEEPEST:
        raise InputError(f"model.modulated.alpha {c.alpha} must be from 0 to {STEEPEST}")
    if c.features % 2 or c.hidden % c.heads:
        raise InputError(
            f"model.modulated.features {c.features} must be even, and heads {c.heads} divide "
            f"hidden {c.hidden}"
        )
    if c.control != "none" and (c.frame, c.nearest) != ("picture", 0):
        raise InputError(
            f"model.modulated.control {c.control!r} needs frame 'picture' and nearest 0, not "
            f"{c.frame!r} and {c.nearest}"
        )
    if c.nearest:
        ring(c.nearest)
    return ModulatedDecoder(
        **{name: c[name] for name in c if name != "bands"},
        bands=bands,
        spacing=spacing,
        skip=config.skip,
        dtype=dtype,
    )


def _lp_tokens(config: ConfigDict, dtype: Any, remat: bool) -> LpTokens:
    c = config.lp_tokens
    _check_name("model.lp_tokens.patch", c.patch, PATCHES)
    _check_name("model.lp_tokens.spacing", c.spacing, PATCHES)
    _check_name("model.lp_tokens.layout", c.layout, LAYOUTS)
    _check_name("model.lp_tokens.mixer", c.mixer, MIXERS)
    if c.width % c.heads:
        raise InputError(
            f"model.lp_tokens.heads {c.heads} must divide model.lp_tokens.width {c.width}"
        )
    if config.decoder != "modulated":
        raise InputError(
            f"the decoder {config.decoder!r} needs features of every LR pixel, which the encoder "
            "'lp_tokens' does not make; the decoder of tokens is 'modulated'"
        )
    return LpTokens(**c.to_dict(), dtype=dtype, remat=remat)


def build(config: ConfigDict, *, remat: bool = False) -> Model:
    """The model that `config` (the `model` section of a configuration) describes.

    Args:
      config: see `configuration.default`.
      remat: whether gradients compute the encoder's blocks anew instead of keeping their insides.

    Raises:
      InputError: an unknown encoder, decoder or dtype, a size below its least, bands that do not
        fit together, or parts that do not.
    """
    _check_numbers(config)
    dtype = _choose("dtype", config.dtype, {k: lambda v=v: v for k, v in DTYPES.items()})
    edsr = config.edsr
    encoder = _choose(
        "encoder",
        config.encoder,
        {
            "edsr": lambda: EDSR(edsr.features, edsr.blocks, dtype, remat),
            "lp_tokens": lambda: _lp_tokens(config, dtype, remat),
        },
    )
    decoder = _choose(
        "decoder",
        config.decoder,
        {
            "spectral": lambda: _spectral(config, dtype),
            "modulated": lambda: _modulated(config, dtype, encoder.spacing),
            "liif": lambda: LiifDecoder(config.liif.width, config.liif.layers, dtype),
            "pixel_shuffle": lambda: PixelShuffleDecoder(config.pixel_shuffle.scale, dtype),
        },
    )
    return Model(
        encoder=encoder, decoder=decoder, skip=config.skip, trained_size=config.trained_size
    )
