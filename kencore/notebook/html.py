"""A run as a small piece of HTML: verdict, blocks by roles, and what to ask it next. Everything is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from kencore.views.tables import model_cells, totals
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.findings import lines, on_map
from kencore.words.palette import LIGHT
from kencore.words.verdict import verdict

if TYPE_CHECKING:
    import pandas as pd

    from kencore.runs.run import Run

_VERDICT: Final = {"safe": "#1E7B4F", "unclear": "#35618E", "damaged": "#9A6700", "ruined": "#B3261E"}
_ASK: Final = ("run.map()", "run.row(matrix, 0)", "run.flips()", 'run.figure("quality")', "run.matrices")
_CELL: Final = "text-align:center;padding:2px 8px"


def summary(run: Run) -> str:
    """What a notebook shows of a run."""
    total = totals(run.matrices)
    found = verdict(run.metrics, run.spec.method)
    said = ""
    if found:
        said = (
            f'<div style="margin:.5em 0;padding:.4em .8em;border-left:4px solid {_VERDICT[found.level]}">'
            f"<b>{escape(found.level.capitalize())}</b>: {escape(' '.join(filter(None, (found.change, found.peers))))}"
            "</div>"
        )
    size = f"{wording.size(total.bytes_stored)} to store of {wording.size(total.bytes_dense)}"
    return (
        f"<div><b>{escape(facts.headline(run.spec, total, run.metrics))}</b><br>"
        f"<small>{escape(run.id)} · {escape(facts.subject(run.spec))} · {escape(size)}</small>"
        f"{said}{_grid(model_cells(run.matrices))}"
        f"<small>Next: {' · '.join(f'<code>{escape(ask)}</code>' for ask in _ASK)}</small></div>"
    )


def _grid(cells: pd.DataFrame) -> str:
    """Kept share by block and role, shaded."""
    table, places, roles = on_map(cells)
    if table.empty:
        return ""
    shares = {(str(line.place), str(line.role)): float(line.share) for line in lines(table)}
    head = "".join(f'<th style="{_CELL}">{escape(role)}</th>' for role in roles)
    body = []
    for place in places:
        row = "".join(_cell(shares.get((place, role))) for role in roles)
        body.append(f'<tr><th style="text-align:right;padding:2px 8px">{escape(place)}</th>{row}</tr>')
    return (
        '<details><summary>Kept share by block and role</summary><table style="border-collapse:collapse">'
        f"<tr><th></th>{head}</tr>{''.join(body)}</table></details>"
    )


def _cell(share: float | None) -> str:
    if share is None:
        return "<td></td>"
    colors = LIGHT.sequential
    at = min(int(share * len(colors)), len(colors) - 1)
    ink = "#FFFFFF" if at >= len(colors) // 2 else "#101822"
    return f'<td style="{_CELL};background:{colors[at]};color:{ink}">{wording.percent(share, 0)}</td>'
