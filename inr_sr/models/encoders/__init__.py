"""Encoders: LR pictures [B, h, w, 3] in, features out.

Features are of places `spacing` LR pixels apart: of each LR pixel, [B, h, w, C], or of tokens.
`receptive_field` is how many LR pixels beyond its own a feature depends on, or None: the whole
picture. An encoder that cannot take pictures of every size says so in `check_size`.
"""
