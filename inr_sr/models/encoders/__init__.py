"""Encoders: LR picture in, features on the LR lattice out."""
