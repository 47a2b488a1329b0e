"""Decoders: features in, a `field.FieldFunction` out that answers any coordinate.

A decoder is called with an encoder's features and the halo, LR pixels around those that the field
covers. Its attributes:

- `receptive_field`: how many LR pixels beyond its own the field depends on; None: the whole image.
- `last_layer`: a regular expression of the paths (as in "cos/kernel") of its output's kernels.
- `scale`, of a decoder that renders a single integer scale: that one.
- `check_slots(rows, cols)`, of a decoder with a largest scale: raises InputError beyond it.
"""
