"""A report as one HTML file that needs nothing else: no network, no font, no script but that of its map.

Everything that comes from a run is escaped; the policy in its head forbids the rest, and every script that is not,
by its hash, one of those that the report was written with.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

import numpy as np
import pandas as pd

from kencore.report.charts.draw import svg
from kencore.report.content import Block, Bullets, Cards, Code, Figure, Grid, Live, Report, Section, Table, Text
from kencore.report.style import css
from kencore.system import plain

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
MOST_LINES: Final = 120  # of a picture's numbers that are listed below it
_NUMBER: Final = re.compile(r"[\s(≈+−-]*[\d.,]+[\d.,\s%–⁠()+−×-]*(?:of [\d.,]+)?")
_LONG: Final = ' class="long"'
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_BREAKS: Final = re.compile(r"(?<=\w)([._/\\])(?=\w)")


def html(report: Report) -> str:
    """The page. The same report gives the same text."""
    title = escape(f"{report.run}: {report.title}")
    contents = "".join(f'<li><a href="#{section.name}">{escape(section.title)}</a></li>' for section in report.sections)
    body = "\n".join(map(_section, report.sections))
    styles = "".join(f"{live.style}\n" for live in report.live)
    scripts = "".join(map(_script, report.live))
    held = "no script but that of its map" if report.live else "no script"
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(report)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{css()}{styles}</style>
</head>
<body>
<header>
<h1>{escape(report.title)}</h1>
<p>{escape(report.subject)}</p>
<p class="made">{escape(report.made)}</p>
</header>
<nav aria-label="Contents"><ul>{contents}</ul></nav>
<main>
{body}
</main>
<footer><p>Written by KEN_viz. This file needs no network and holds {held}.</p></footer>
"""
    return f"{plain.terminal(page)}{scripts}</body>\n</html>\n"  # nothing that turns or hides what is read


def _policy(report: Report) -> str:
    """`POLICY`, and the scripts of the report by their hashes."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(live.script.encode()).digest()).decode()}'" for live in report.live)
    return f"{POLICY}; script-src {hashes}" if hashes else POLICY


def _script(live: Live) -> str:
    """What draws, after what it reads; a ``<`` of the data cannot end its element."""
    data = live.data.replace("<", "\\u003c")
    assert "</script" not in live.script
    return f'<script type="application/json" id="{live.data_id}">{data}</script>\n<script>{live.script}</script>\n'


def _section(section: Section) -> str:
    blocks = "\n".join(map(_block, section.blocks))
    return (
        f'<section aria-labelledby="{section.name}">\n'
        f'<h2 id="{section.name}">{escape(section.title)}</h2>\n{blocks}\n</section>'
    )


def _block(block: Block) -> str:
    if isinstance(block, Text):
        kind = f' class="verdict {block.mark}"' if block.mark else ' class="quiet"' if block.quiet else ""
        return f"<p{kind}>{escape(block.text)}</p>"
    if isinstance(block, Bullets):
        return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in block.items)}</ul>"
    if isinstance(block, Code):
        return f"<p>{escape(block.label)}:</p>\n<pre>{escape(block.text)}</pre>"
    if isinstance(block, Cards):
        return _cards(block)
    if isinstance(block, Grid):
        return f'<div class="grid">{"".join(_beside(*cell) for cell in block.cells)}</div>'
    if isinstance(block, Live):
        return f'<p>{escape(block.text)}</p>\n<div class="live">{block.html}</div>'
    return _table(block) if isinstance(block, Table) else _figure(block)


def _beside(table: Table, note: str) -> str:
    said = f'<p class="quiet">{escape(note)}</p>' if note else ""
    return f"<div>{_table(table)}{said}</div>"


def _cards(block: Cards) -> str:
    parts = []
    for card in block.cards:
        beside = "".join(f'<dd class="beside">{escape(text)}</dd>' for text in card.beside)
        parts.append(f'<div><dt>{escape(card.label)}</dt><dd class="value">{escape(card.value)}</dd>{beside}</div>')
    return f'<dl class="cards">{"".join(parts)}</dl>'


def _figure(figure: Figure) -> str:
    note = f"<p>{escape(figure.note)}</p>" if figure.note else ""
    picture = svg(figure.drawing, f"fig-{figure.name}", figure.finding, figure.alt)
    return (
        f'<figure id="figure-{figure.name}">\n<h3>{escape(figure.finding)}</h3>\n'
        f'<div class="wide" tabindex="0" role="region" aria-label="Picture: '
        f'{escape(figure.finding)}">\n{picture}\n</div>\n'
        f"<figcaption>{note}{_numbers(figure)}</figcaption>\n</figure>"
    )


def _numbers(figure: Figure) -> str:
    """The numbers of a picture, for those who want to read them."""
    data = figure.data.dropna(axis=1, how="all")
    if data.empty or len(data) > MOST_LINES:
        return ""
    rows = tuple(tuple(_cell(value) for value in line) for line in data.itertuples(index=False))
    table = Table(
        name=f"{figure.name}-numbers",
        caption=f"Numbers of: {figure.finding}",
        columns=tuple(str(name).replace("_", " ") for name in data.columns),
        rows=rows,
    )
    return f"<details><summary>The numbers of this picture</summary>{_grid(table)}</details>"


def _cell(value: object) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float | np.floating):
        whole = float(value).is_integer() and abs(float(value)) < 1e15
        return f"{int(value):,}" if whole else f"{float(value):.5g}"
    return f"{int(value):,}" if isinstance(value, int | np.integer) else str(value)


def _table(table: Table) -> str:
    if not table.folded:
        return _grid(table)
    summary = f"{table.caption} ({len(table.rows):,} lines)"
    return f"<details><summary>{escape(summary)}</summary>{_grid(table)}</details>"


def _grid(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join(f"<tr>{_row(row)}</tr>\n" for row in table.rows)
    return (
        f'<div class="wide table" tabindex="0" role="region" aria-label="Table: '
        f'{escape(table.caption)}"><table id="table-{table.name}">\n'
        f"<caption>{escape(table.caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>"
    )


def _row(row: tuple[str, ...]) -> str:
    first, *rest = row
    cells = "".join(
        f'<td class="number">{escape(cell)}</td>'
        if _NUMBER.fullmatch(cell)
        else f"<td{_LONG if len(cell) > 24 else ''}>{_breakable(cell)}</td>"
        for cell in rest
    )
    return f'<th scope="row">{_breakable(first)}</th>{cells}'


def _breakable(text: str) -> str:
    """Escaped text in which a long name may go on in the next line after a dot and the like, and
    a hash after every eighth sign.
    """
    if _HASH.fullmatch(text):
        return "<wbr>".join(text[i : i + 8] for i in range(0, len(text), 8))
    return _BREAKS.sub(r"\1<wbr>", escape(text)) if len(text) > 20 else escape(text)
