"""Networks: build(config) makes encoder and decoder of one chain, image -> Field."""

import math
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.errors import InputError
from inr_sr.models.decoders.liif import LiifDecoder
from inr_sr.models.decoders.pixel_shuffle import PixelShuffleDecoder
from inr_sr.models.decoders.spectral import SpectralDecoder
from inr_sr.models.encoders.edsr import EDSR
from inr_sr.models.field import SKIP_REACH, Field, framed

MAX_WAVES = 2**12  # some 100 kB per LR pixel
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


class Model(nn.Module):
    """encoder -> features -> decoder: LR pictures [B, h, w, 3] in [0, 1] to a Field."""

    encoder: nn.Module
    decoder: nn.Module

    def __call__(self, image: jax.Array, halo: int = 0) -> Field:
        """The Field of LR pictures.

        Args:
          image: [B, h + 2 halo, w + 2 halo, 3] in [0, 1].
          halo: LR pixels around the [h, w] that the field covers; 0: pictures end at their borders.
        """
        residual = self.decoder(self.encoder(image), halo)
        return Field(framed(image, halo, SKIP_REACH), residual)

    @property
    def receptive_field(self) -> int:
        """LR pixels beyond its own that any output pixel depends on."""
        return max(self.encoder.receptive_field + self.decoder.receptive_field, SKIP_REACH)

    @property
    def fixed_scale(self) -> int | None:
        """The only scale the model knows, or None when it answers at any."""
        return getattr(self.decoder, "scale", None)

    def last_layer(self, params: Any) -> list[jax.Array]:
        """Of `params` those that the residual is linear in: the decoder's `last_layer`."""
        leaves = jax.tree_util.tree_leaves_with_path(params["decoder"])
        named = {"/".join(key.key for key in path): leaf for path, leaf in leaves}
        found = [x for name, x in named.items() if re.fullmatch(self.decoder.last_layer, name)]
        if not found:
            raise ValueError(
                f"no parameter of the decoder is its last layer {self.decoder.last_layer!r}"
            )
        return found

    def check_slots(self, rows: int, cols: int) -> None:
        """Raises InputError where so many output pixels in an LR pixel are too many."""
        if hasattr(self.decoder, "check_slots"):
            self.decoder.check_slots(rows, cols)


def _choose(kind: str, name: str, builders: dict[str, Any]) -> Any:
    if name not in builders:
        raise InputError(f"unknown {kind} {name!r}; there are: {', '.join(sorted(builders))}")
    return builders[name]()


def _check_numbers(config: ConfigDict) -> None:
    least = {
        "edsr.features": 1, "edsr.blocks": 0,
        "spectral.width": 1, "spectral.depth": 0, "spectral.gain_order": 0,
        "liif.width": 1, "liif.layers": 1, "pixel_shuffle.scale": 1,
    }  # fmt: skip
    for name, minimum in least.items():
        section, field = name.split(".")
        if config[section][field] < minimum:
            raise InputError(f"model.{name} {config[section][field]} must be at least {minimum}")
    if not 1 <= config.spectral.max_scale < math.inf:
        raise InputError(
            f"model.spectral.max_scale {config.spectral.max_scale} must be finite and at least 1"
        )
    counts, bands = tuple(config.spectral.frequencies), tuple(config.spectral.bands)
    whole = all(isinstance(n, int) and n >= 1 for n in counts)
    positive = all(isinstance(b, (int, float)) and b > 0 for b in bands)
    if whole and sum(counts) > MAX_WAVES:
        raise InputError(
            f"model.spectral.frequencies {counts} are {sum(counts)} waves, whose coefficients take "
            f"{24 * sum(counts)} bytes per LR pixel; at most {MAX_WAVES} are allowed"
        )
    if not (counts and whole and positive):
        raise InputError(
            f"model.spectral.frequencies {counts} must be whole numbers of at least 1, and "
            f"model.spectral.bands {bands} numbers above 0"
        )


def build(config: ConfigDict, *, remat: bool = False) -> Model:
    """The model that `config` (the `model` section of a configuration) describes.

    Args:
      config: see `configuration.default`.
      remat: whether gradients compute the encoder's blocks anew instead of keeping their insides.

    Raises:
      InputError: an unknown encoder, decoder or dtype, a size below its least, bands that do not
        fit together, or more than MAX_WAVES of them.
    """
    _check_numbers(config)
    dtype = _choose("dtype", config.dtype, {k: lambda v=v: v for k, v in DTYPES.items()})

    def spectral() -> SpectralDecoder:
        c = config.spectral
        if len(c.bands) != len(c.frequencies) or list(c.bands) != sorted(set(c.bands)):
            raise InputError(
                f"model.spectral.bands {tuple(c.bands)} must rise and be as many as "
                f"model.spectral.frequencies {tuple(c.frequencies)}"
            )
        return SpectralDecoder(
            bands=tuple(c.bands),
            frequencies=tuple(c.frequencies),
            width=c.width,
            depth=c.depth,
            gain_order=c.gain_order,
            max_scale=c.max_scale,
            dtype=dtype,
        )

    encoder = _choose(
        "encoder",
        config.encoder,
        {"edsr": lambda: EDSR(config.edsr.features, config.edsr.blocks, dtype, remat)},
    )
    decoder = _choose(
        "decoder",
        config.decoder,
        {
            "spectral": spectral,
            "liif": lambda: LiifDecoder(config.liif.width, config.liif.layers, dtype),
            "pixel_shuffle": lambda: PixelShuffleDecoder(config.pixel_shuffle.scale, dtype),
        },
    )
    return Model(encoder=encoder, decoder=decoder)


def init(model: Model, key: jax.Array) -> Any:
    """Fresh parameters, float32."""
    return model.init(key, jnp.zeros((1, 8, 8, 3), jnp.float32))["params"]
