"""Encoders: LR images [B, h, w, 3] in [0, 1] in, features out, once per LR pixel.

Attributes of an encoder:

- `spacing`: LR pixels between the places that features [B, H, W, C] belong to: 1 for LR pixels,
  more for tokens; None for a vector [B, n], which has no places.
- `receptive_field`: how many LR pixels beyond its own a feature depends on; None: the whole image.
- `init_shape`: (h, w, 3) of an image from which parameters can be made.
- `check_size(height, width)`, of an encoder that cannot take every image: raises InputError.
"""
