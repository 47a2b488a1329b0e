"""Encoders: LR images [B, h, w, 3] in [0, 1] in, features out, once per LR pixel.

An encoder is a flax module in a file of its own and a line in ENCODERS. It has

- `spacing`: LR pixels between the places that features [B, H, W, C] belong to: 1 for LR pixels,
  more for tokens; None for a vector [B, n], which has no places;
- `receptive_field`: how many LR pixels beyond its own a feature depends on; None: the whole image;
- `init_shape`: (h, w, 3) of an image from which parameters can be made;
- `groups`: optimizer groups of its parameters, see `parts.Groups`;
- `section`: the name of its section in the `model` configuration; `default_config()`: that section;
  `from_config(model, dtype, remat)`: the module that a `model` section describes, or InputError;
- `check_size(height, width)`, if it cannot take every image: raises InputError.
"""

from typing import Any

from inr_sr.models.encoders.edsr import EDSR
from inr_sr.models.encoders.lp_tokens import LpTokens

ENCODERS: dict[str, Any] = {
    "edsr": EDSR,
    "lp_tokens": LpTokens,
}
