"""Comparisons: several configurations, several seeds, the same held-out photos, one table."""
