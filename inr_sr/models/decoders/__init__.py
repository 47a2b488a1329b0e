"""Decoders: features in, a Field out that answers any coordinate."""
