"""Experiments: several configurations and seeds, the same held-out photos, one table."""
