"""The report of an evaluation: a page with tables, a plot and panels, and the same as files."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inr_sr.errors import InputError
from inr_sr.evaluation.results import Results, write_json, write_markdown
from inr_sr.files import atomic_folder, check_own_folder
from inr_sr.reporting.page import figure, page, table
from inr_sr.reporting.panels import Panel, write_panel
from inr_sr.reporting.plots import COLOURS, new_figure, plain
from inr_sr.sizes import Scale

PANEL_IMAGES = 3
"""How many images of an evaluation a report shows, at every scale."""

_MARKS = ("index.html", "results.json")  # a folder that holds these is a report
_PLOT = "PSNR against scale, by method"
_BASELINES = {"bicubic": ("0.4", "-"), "lanczos": ("0.55", "--"), "nearest": ("0.7", ":")}


def write_report(
    folder: Path,
    results: Results,
    *,
    title: str,
    facts: Mapping[str, str],
    magnified: Panel | None = None,
) -> Path:
    """Writes index.html, results.json, results.md, psnr_vs_scale.png and panels/.

    The page holds its images itself and links to nothing. The write is atomic: a temporary folder
    takes the place of `folder` once all files are in it.

    Args:
      folder: where to write; an earlier report there is replaced.
      results: the tables and the panels.
      title: the heading of the page.
      facts: further lines of "How this was made", in order, such as data, training steps and
        command; the protocol and the machine are always among them.
      magnified: a panel without ground truth, from `evaluate.magnified_detail`.

    Returns:
      The path of the page.

    Raises:
      InputError: `folder` holds something else, or cannot be written.
    """
    folder = folder.resolve()
    check_replaceable(folder)
    try:
        with atomic_folder(folder) as temporary:
            _fill(temporary, results, title, facts, magnified)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None
    return folder / "index.html"


def check_replaceable(folder: Path) -> None:
    """Raises InputError where a report cannot be written, or would replace something else."""
    check_own_folder(folder, _MARKS, "a report")


def _fill(
    folder: Path,
    results: Results,
    title: str,
    facts: Mapping[str, str],
    magnified: Panel | None,
) -> None:
    write_json(folder / "results.json", results)
    write_markdown(folder / "results.md", results)
    write_plot(folder / "psnr_vs_scale.png", results)
    body = list(map(table, results.tables()))
    plot = (folder / "psnr_vs_scale.png").read_bytes()
    body += ["<h2>PSNR against scale</h2>", figure(plot, "plot", alt=_PLOT)]
    if results.panels:
        body.append(
            "<h2>Images</h2>\n<p>Above, a region pixel by pixel; below, its marked part "
            "magnified four times. The mark lies where bicubic's error is largest.</p>"
        )
        body += [_shown(folder, panel) for panel in results.panels]
    if magnified is not None:
        body.append(
            "<h2>Far beyond the original</h2>\n<p>A detail upscaled as it is, "
            "so there is no ground truth to compare with.</p>"
        )
        body.append(_shown(folder, magnified))
    protocol = f"{results.protocol.name}: {results.protocol.description}"
    stated = {**facts, "protocol": protocol, **results.machine}
    text = page(title, results.summary(), body, stated)
    (folder / "index.html").write_text(text, encoding="utf-8")


def _shown(folder: Path, panel: Panel) -> str:
    """Writes the panel as a file and returns it for the page."""
    png = write_panel(folder / "panels", panel).read_bytes()
    return figure(png, "panel", alt=panel.title, caption=panel.title)


def write_plot(path: Path, results: Results) -> None:
    """Writes a PNG: PSNR against scale by method, and the gain over bicubic if it was measured.

    Scales that differ by axis have no place on the scale axis and are left to the tables. If there
    are no others, they are drawn at their geometric mean. The plot of gains leaves out nearest
    neighbour, which is too far below bicubic.
    """
    scales = [scale for scale in results.scales if scale.rows == scale.cols] or results.scales
    scales = sorted(scales, key=_position)
    positions = [_position(scale) for scale in scales]
    with_gain = "bicubic" in results.methods and len(results.methods) > 1
    figure = new_figure(11.0 if with_gain else 6.0, 4.2, dpi=130)
    axes = figure.subplots(1, 2 if with_gain else 1, squeeze=False)[0]
    colours = itertools.cycle(COLOURS)
    for method in results.methods:
        baseline = _BASELINES.get(method)
        colour, dashes = baseline or (next(colours), "-")
        style = {
            "color": colour, "linestyle": dashes, "linewidth": 1.4 if baseline else 2.2,
            "marker": "o", "markersize": 4, "label": method,
        }  # fmt: skip
        axes[0].plot(positions, _psnr(results, method, scales), **style)
        if with_gain and method != "nearest":
            # Where both are infinite the difference is NaN, which is drawn as a gap.
            with np.errstate(invalid="ignore"):
                gain = _psnr(results, method, scales) - _psnr(results, "bicubic", scales)
            axes[1].plot(positions, gain, **style)
    channel = results.protocol.channel.upper()
    for axis, label in zip(axes, (f"PSNR, dB ({channel})", f"gain over bicubic, dB ({channel})")):
        axis.set(xscale="log", xlabel="scale", ylabel=label)
        axis.set_xticks(positions, [f"×{scale.label}" for scale in scales])
        axis.minorticks_off()
        plain(axis)
    axes[0].legend(frameon=False)
    figure.savefig(path, format="png")


def _psnr(results: Results, method: str, scales: Sequence[Scale]) -> np.ndarray:
    return np.array([results.headline(results.row(method, scale)) for scale in scales])


def _position(scale: Scale) -> float:
    return math.sqrt(scale.rows * scale.cols)
