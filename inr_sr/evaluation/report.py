"""A folder for people: one page with tables, a plot and pictures, and the same as files."""

import base64
import html
import os
import shutil
import string
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from inr_sr.errors import InputError
from inr_sr.evaluation.panels import Panel, write_panel
from inr_sr.evaluation.plot import write_plot
from inr_sr.evaluation.results import Results, Table, write_json, write_markdown
from inr_sr.files import check_folder

PANEL_PICTURES = 3
"""Pictures of an evaluation that a report shows, at every scale."""

_MARKS = ("index.html", "results.json")  # a folder that holds these is a report of ours

_PAGE = string.Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1d1d1f; --faint: #6e6e73; --ground: #fbfbfd;
  --card: #fff; --line: #d9d9de; --best: #0a5fd8; }
@media (prefers-color-scheme: dark) { :root { --ink: #f2f2f4; --faint: #9a9aa2;
  --ground: #161618; --card: #1f1f22; --line: #38383d; --best: #6cb0ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1500px; padding: 2.5rem 1.5rem 4rem; color: var(--ink);
  background: var(--ground); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 2.8rem 0 .8rem; }
p { max-width: 48rem; margin: 0 0 .8rem; }
.faint, figcaption, caption { color: var(--faint); }
.scroll { overflow-x: auto; margin: 0 0 1.4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; background: var(--card); }
caption { text-align: left; padding: 0 0 .4rem; font-size: .9rem; }
th, td { padding: .45rem .9rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child { text-align: left; }
tbody th { font-weight: 500; }
td.best { font-weight: 650; color: var(--best); }
figure { margin: 0 0 1.6rem; }
figcaption { font-size: .9rem; margin: 0 0 .3rem; }
.panel img { border-radius: 8px; display: block; max-width: none; image-rendering: pixelated; }
.plot img { border-radius: 8px; display: block; max-width: 100%; height: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.4rem; margin: 0; }
dt { color: var(--faint); }
dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="faint">$summary</p>
$tables
<h2>PSNR against scale</h2>
$plot
$pictures
<h2>How this was made</h2>
<dl>
$facts
</dl>
</body>
</html>
""")


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
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            temporary.chmod(0o755)  # mkdtemp shuts everyone else out
            _fill(temporary, results, title, facts, enlargement)
            _take_place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror or error}") from None
    return folder / "index.html"


def check_replaceable(folder: Path) -> None:
    """Raises InputError where a report cannot be written, or would replace something else."""
    if not folder.exists():
        check_folder(folder.parent)
        return
    if not folder.is_dir():
        raise InputError(f"cannot write a report to {folder}: it is a file")
    content = [entry.name for entry in folder.iterdir()]
    if content and not set(_MARKS) <= set(content):
        raise InputError(f"cannot write a report to {folder}: it holds other files")


def _take_place(new: Path, folder: Path) -> None:
    """Renames `new` to `folder`; what was there is moved aside first and removed after."""
    aside = new.with_name(new.name + "-replaced")
    if folder.exists():
        os.replace(folder, aside)
    try:
        os.replace(new, folder)
    except OSError:
        if aside.exists():
            os.replace(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


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
    sections = []
    if results.panels:
        sections.append(
            "<h2>Pictures</h2>\n<p>Above, a region pixel by pixel; below, its marked part "
            "magnified four times. The mark lies where bicubic's error is largest.</p>"
        )
        shown = [(panel, write_panel(folder / "panels", panel)) for panel in results.panels]
        sections += [_figure(image, panel.title, "panel") for panel, image in shown]
    if enlargement is not None:
        sections.append(
            "<h2>Far beyond the original</h2>\n<p>A detail enlarged as it is, "
            "so there is no truth to compare with.</p>"
        )
        image = write_panel(folder / "panels", enlargement)
        sections.append(_figure(image, enlargement.title, "panel"))
    page = _PAGE.substitute(
        title=html.escape(title),
        summary=html.escape(results.summary()),
        tables="\n".join(map(_table, results.tables())),
        plot=_figure(folder / "psnr_vs_scale.png", "", "plot"),
        pictures="\n".join(sections),
        facts="\n".join(_facts(results, facts)),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in table.head)
    body = []
    for i, (name, *cells) in enumerate(table.rows):
        marked = (
            f'<td class="best">{html.escape(text)}</td>'
            if (i, j) in table.best
            else f"<td>{html.escape(text)}</td>"
            for j, text in enumerate(cells, start=1)
        )
        body.append(f'<tr><th scope="row">{html.escape(name)}</th>{"".join(marked)}</tr>')
    return (
        f'<div class="scroll"><table><caption>{html.escape(table.title)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{''.join(body)}</tbody></table></div>"
    )


def _figure(image: Path, caption: str, kind: str) -> str:
    """The picture inside the page; panels keep their size in pixels and scroll sideways."""
    data = base64.b64encode(image.read_bytes()).decode("ascii")
    text = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    alt = html.escape(caption or "PSNR against scale, by method")
    return (
        f'<figure class="{kind}">{text}<div class="scroll">'
        f'<img alt="{alt}" src="data:image/png;base64,{data}"></div></figure>'
    )


def _facts(results: Results, facts: Mapping[str, str]) -> Iterable[str]:
    stated = {
        **facts,
        "protocol": f"{results.protocol.name}: {results.protocol.description}",
        **results.machine,
    }
    for name, text in stated.items():
        value = html.escape(text)
        shown = f"<code>{value}</code>" if name == "command" else value
        yield f"<dt>{html.escape(name)}</dt><dd>{shown}</dd>"
