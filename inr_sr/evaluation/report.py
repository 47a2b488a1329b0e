"""A folder for people: one page with tables, a plot and pictures, and the same as files."""

from collections.abc import Mapping
from pathlib import Path

from inr_sr.errors import InputError
from inr_sr.evaluation.page import figure, page, table
from inr_sr.evaluation.panels import Panel, write_panel
from inr_sr.evaluation.plot import write_plot
from inr_sr.evaluation.results import Results, write_json, write_markdown
from inr_sr.files import atomic_folder, check_own_folder

PANEL_PICTURES = 3
"""Pictures of an evaluation that a report shows, at every scale."""

_MARKS = ("index.html", "results.json")  # a folder that holds these is a report of ours
_PLOT = "PSNR against scale, by method"


def write_report(
    folder: Path,
    results: Results,
    *,
    title: str,
    facts: Mapping[str, str],
    enlargement: Panel | None = None,
) -> Path:
    """Writes index.html, results.json, results.md, psnr_vs_scale.png and panels/.

    The page holds its pictures itself and links to nothing. Everything is made in a temporary
    folder beside `folder`, which then takes its place, so a reader never sees half a report.

    Args:
      folder: the report; an earlier report there is replaced.
      results: its tables and its panels.
      title: the heading of the page.
      facts: what else to state, in order, such as data, training steps and command; the
        protocol and the machine are stated anyway.
      enlargement: a panel without truth, from `evaluate.enlargement`.

    Returns:
      The path of the page.

    Raises:
      InputError: `folder` holds something else, or cannot be written.
    """
    folder = folder.resolve()
    check_replaceable(folder)
    try:
        with atomic_folder(folder) as temporary:
            _fill(temporary, results, title, facts, enlargement)
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
    enlargement: Panel | None,
) -> None:
    write_json(folder / "results.json", results)
    write_markdown(folder / "results.md", results)
    write_plot(folder / "psnr_vs_scale.png", results)
    body = list(map(table, results.tables()))
    plot = (folder / "psnr_vs_scale.png").read_bytes()
    body += ["<h2>PSNR against scale</h2>", figure(plot, "plot", alt=_PLOT)]
    if results.panels:
        body.append(
            "<h2>Pictures</h2>\n<p>Above, a region pixel by pixel; below, its marked part "
            "magnified four times. The mark lies where bicubic's error is largest.</p>"
        )
        body += [_shown(folder, panel) for panel in results.panels]
    if enlargement is not None:
        body.append(
            "<h2>Far beyond the original</h2>\n<p>A detail enlarged as it is, "
            "so there is no truth to compare with.</p>"
        )
        body.append(_shown(folder, enlargement))
    protocol = f"{results.protocol.name}: {results.protocol.description}"
    stated = {**facts, "protocol": protocol, **results.machine}
    text = page(title, results.summary(), body, stated)
    (folder / "index.html").write_text(text, encoding="utf-8")


def _shown(folder: Path, panel: Panel) -> str:
    """The panel as a file, and inside the page."""
    png = write_panel(folder / "panels", panel).read_bytes()
    return figure(png, "panel", alt=panel.title, caption=panel.title)
