"""How all charts look."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0a6cff", "#e0560b", "#1a9850", "#9b3fbf", "#c2185b")


def new_figure(width: float, height: float, dpi: int = 110) -> Figure:
    """An empty one, inches; without pyplot there is no global state and no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def plain(axes: Axes) -> None:
    """A faint grid behind what is drawn, and no frame above and on the right."""
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
