"""How good is an upscaler: named protocols, metrics, the evaluation itself and its report."""
