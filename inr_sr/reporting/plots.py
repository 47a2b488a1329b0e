"""What all plots share: colours, an empty figure, a plain look, PNG bytes and SVG files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from inr_sr.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0a6cff", "#e0560b", "#1a9850", "#9b3fbf", "#c2185b")


def new_figure(width: float, height: float, dpi: int = 110) -> Figure:
    """An empty figure; sizes in inches. Without pyplot: no global state and no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def plain(axes: Axes) -> None:
    """Gives axes a faint grid behind the curves, and no frame above and on the right."""
    axes.grid(color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend_beside(axes: Axes, fontsize: float | None = None) -> None:
    """A legend to the right of the axes."""
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=fontsize)


def png_bytes(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def write_svg(figure: Figure, path: Path, salt: str) -> None:
    """Writes the figure atomically as an SVG; the same figure and salt make the same file.

    Args:
      figure: what to write.
      path: the file.
      salt: what the ids in the file are made from.
    """
    import matplotlib

    # Text stays text: the file is smaller, and its labels can be searched.
    with (
        matplotlib.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}),
        atomic_path(path) as temporary,
    ):
        figure.savefig(temporary, format="svg", metadata={"Date": None})
