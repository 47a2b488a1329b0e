"""Decoders: from an encoder's features to a `field.FieldFunction`.

A decoder is a flax module in a file of its own and a line in DECODERS. It is called with features
[B, H, W, C] and the halo, LR pixels around those that the field covers. It has

- `section`: name of its section in the `model` configuration;
- `default_config(shared)`: that section, whose fields may follow `parts.Shared`;
- `from_config(model, dtype, spacing)`: the module for a `model` section and features `spacing` LR
  pixels apart; raises InputError;
- `receptive_field`: LR pixels beyond its own that a query depends on; None: the whole image;
- `takes_tokens`: whether features may belong to tokens instead of LR pixels;
- `groups`: optimizer groups of its parameters, see `parts.Groups`;
- `last_layer`: a regular expression for the paths of its output's kernels, such as "cos/kernel";
- `scale`, if it renders one integer scale only: that scale;
- `check_slots(rows, cols)`, if its scale is limited: raises InputError where rows x cols output
  pixels per LR pixel are too many.
"""

from typing import Protocol

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.models.decoders.liif import LiifDecoder
from inr_sr.models.decoders.modulated import ModulatedDecoder
from inr_sr.models.decoders.pixel_shuffle import PixelShuffleDecoder
from inr_sr.models.decoders.spectral import SpectralDecoder
from inr_sr.models.parts import Shared


class DecoderType(Protocol):
    """What a configuration needs of a decoder's class; its modules have the rest."""

    @property
    def section(self) -> str: ...

    @property
    def takes_tokens(self) -> bool: ...

    def default_config(self, shared: Shared) -> ConfigDict: ...

    def from_config(self, model: ConfigDict, dtype: jnp.dtype, spacing: int) -> nn.Module: ...


DECODERS: dict[str, DecoderType] = {
    "spectral": SpectralDecoder,
    "modulated": ModulatedDecoder,
    "liif": LiifDecoder,
    "pixel_shuffle": PixelShuffleDecoder,
}
