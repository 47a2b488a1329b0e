"""Scores upscalers on images: protocols, metrics, spectra, the evaluation and its report.

It knows upscalers by their protocol alone, and nothing of training.
"""
