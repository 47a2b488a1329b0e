"""The HTML page of a report: its style, its tables and its figures.

A page holds its images itself and links to nothing.
"""

import base64
import html
import string
from collections.abc import Iterable, Mapping

from inr_sr.reporting.tables import Table

_PAGE = string.Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1d1d1f; --faint: #6e6e73; --ground: #fbfbfd;
  --card: #fff; --line: #d9d9de; --best: #0a5fd8;
  --bad: #c2320a; }
@media (prefers-color-scheme: dark) { :root { --ink: #f2f2f4; --faint: #9a9aa2;
  --ground: #161618; --card: #1f1f22; --line: #38383d; --best: #6cb0ff;
  --bad: #ff8a65; } }
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
dl.verdicts { gap: .55rem 1.4rem; }
.verdicts dd { max-width: 52rem; }
.verdicts em { font-style: normal; color: var(--best); }
dt.cause { color: var(--bad); font-weight: 650; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="faint">$summary</p>
$body
<h2>How this was made</h2>
<dl>
$facts
</dl>
</body>
</html>
""")


def page(title: str, summary: str, body: Iterable[str], facts: Mapping[str, str]) -> str:
    """A page as HTML text.

    Args:
      title: the heading.
      summary: the sentence under the heading.
      body: the parts of the page, in HTML.
      facts: how it was made, by name, in order; the fact named "command" is set as code.
    """
    return _PAGE.substitute(
        title=html.escape(title),
        summary=html.escape(summary),
        body="\n".join(body),
        facts="\n".join(_facts(facts)),
    )


def table(content: Table) -> str:
    """A table in HTML; it scrolls sideways where it is too wide."""
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in content.head)
    body = []
    for i, (name, *cells) in enumerate(content.rows):
        marked = (
            f'<td class="best">{html.escape(text)}</td>'
            if (i, j) in content.best
            else f"<td>{html.escape(text)}</td>"
            for j, text in enumerate(cells, start=1)
        )
        body.append(f'<tr><th scope="row">{html.escape(name)}</th>{"".join(marked)}</tr>')
    return (
        f'<div class="scroll"><table><caption>{html.escape(content.title)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{''.join(body)}</tbody></table></div>"
    )


def figure(png: bytes, kind: str, *, alt: str, caption: str = "") -> str:
    """An image inside the page, in HTML.

    Args:
      png: the bytes of the file.
      kind: "panel", which keeps its size in pixels and scrolls sideways, or "plot".
      alt: description for readers who cannot see it.
      caption: the text above it.
    """
    data = base64.b64encode(png).decode("ascii")
    text = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return (
        f'<figure class="{kind}">{text}<div class="scroll">'
        f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}"></div></figure>'
    )


def _facts(facts: Mapping[str, str]) -> Iterable[str]:
    for name, text in facts.items():
        value = html.escape(text)
        shown = f"<code>{value}</code>" if name == "command" else value
        yield f"<dt>{html.escape(name)}</dt><dd>{shown}</dd>"
