"""Scoring upscalers: protocols, metrics, spectra, the evaluation itself and its report."""
