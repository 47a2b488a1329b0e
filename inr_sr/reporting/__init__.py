"""How results are shown: pages, plots, panels, tables, JSON, progress bars; the machine."""
