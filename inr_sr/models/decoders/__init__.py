"""Decoders: features in, a `field.FieldFunction` out that answers any coordinate.

A decoder is a flax module in a file of its own and a line in DECODERS. It is called with an
encoder's features and the halo, LR pixels around those that the field covers. It has

- `receptive_field`: how many LR pixels beyond its own the field depends on; None: the whole image;
- `takes_tokens`: whether features may belong to tokens in place of LR pixels;
- `last_layer`: a regular expression of the paths (as in "cos/kernel") of its output's kernels;
- `groups`: optimizer groups of its parameters, see `parts.Groups`;
- `section`: the name of its section in the `model` configuration; `default_config(shared)`: that
  section, which may follow `parts.Shared`; `from_config(model, dtype, spacing)`: the module that a
  `model` section describes, on features `spacing` LR pixels apart, or InputError;
- `scale`, if it renders a single integer scale: that one;
- `check_slots(rows, cols)`, if it has a largest scale: raises InputError beyond it.
"""

from typing import Any

from inr_sr.models.decoders.liif import LiifDecoder
from inr_sr.models.decoders.modulated import ModulatedDecoder
from inr_sr.models.decoders.pixel_shuffle import PixelShuffleDecoder
from inr_sr.models.decoders.spectral import SpectralDecoder

DECODERS: dict[str, Any] = {
    "spectral": SpectralDecoder,
    "modulated": ModulatedDecoder,
    "liif": LiifDecoder,
    "pixel_shuffle": PixelShuffleDecoder,
}
