"""Encoders: from LR images [B, h, w, 3] in [0, 1] to features.

An encoder is a flax module in a file of its own and a line in ENCODERS. It has

- `section`: name of its section in the `model` configuration;
- `default_config()`: that section;
- `from_config(model, dtype, remat)`: the module for a `model` section; raises InputError;
- `spacing`: LR pixels between features [B, H, W, C]: 1 where each LR pixel has one, more for
  tokens; None for a vector [B, n] without a lattice;
- `receptive_field`: LR pixels beyond its own that a feature depends on; None: the whole image;
- `init_shape`: (h, w, 3) of an image that is large enough to initialise parameters;
- `groups`: optimizer groups of its parameters, see `parts.Groups`;
- `check_size(height, width)`, if it cannot take every image: raises InputError.
"""

from typing import Protocol

import flax.linen as nn
import jax.numpy as jnp
from ml_collections import ConfigDict

from inr_sr.models.encoders.edsr import EDSR
from inr_sr.models.encoders.lp_tokens import LpTokens


class EncoderType(Protocol):
    """What a configuration needs of an encoder's class; its modules have the rest."""

    @property
    def section(self) -> str: ...

    def default_config(self) -> ConfigDict: ...

    def from_config(self, model: ConfigDict, dtype: jnp.dtype, remat: bool) -> nn.Module: ...


ENCODERS: dict[str, EncoderType] = {
    "edsr": EDSR,
    "lp_tokens": LpTokens,
}
