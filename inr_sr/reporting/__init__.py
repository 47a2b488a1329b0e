"""How results are shown: pages, plots, panels, tables, JSON, progress bars; the machine.

It is given numbers and images, and knows nothing of models, evaluation or training.
"""
