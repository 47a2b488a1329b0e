"""Decoders: features in, a `field.Residual` out that answers any coordinate.

A decoder is called with features [B, h + 2 halo, w + 2 halo, C] and `halo`. Its `receptive_field`
is how many LR pixels beyond its own a residual depends on; one that knows a single integer scale
has it as `scale`. Its `last_layer` is a regular expression of the paths (as in "cos/kernel") of the
kernels that make its output. One with a largest scale says so in `check_slots`.
"""
