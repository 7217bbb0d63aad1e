"""How sparsity differs between the rows of a matrix, for one role in many blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, fade, finish, with_gaps
from app.charts.ticks import block_ticks
from kencore.views.sparsity import Spread
from kencore.words import numbers as wording
from kencore.words.palette import Palette

_HALF: Final = 0.42  # of a violin at its widest, in blocks


def row_violins(
    spreads: Sequence[Spread], labels: Sequence[str], matrices: Sequence[str], role: str, color: str, palette: Palette
) -> Chart:
    """A violin of row sparsity per matrix; clicking one selects its point.

    Args:
        spreads: one per matrix; those whose rows are all equal are drawn as a dash.
        labels: name of each block.
        matrices: name of each matrix.
        role: what they are, in words.
        color: of the run.
    """
    figure = go.Figure()
    shapes = [_outline(i, spread) for i, spread in enumerate(spreads)]
    xs = np.concatenate([x for x, _ in shapes]).astype(np.float32)
    ys = np.concatenate([y for _, y in shapes]).astype(np.float32)
    figure.add_trace(
        go.Scatter(
            x=xs,
            y=ys,
            mode="lines",
            fill="toself",
            hoverinfo="skip",
            name="rows",
            fillcolor=fade(color, 0.28),
            line={"color": color, "width": 1.2},
        )
    )
    place = np.arange(len(spreads), dtype=np.int32)
    middle = np.array([spread.middle for spread in spreads], np.float32)
    lower, upper = (np.array([getattr(spread, field) for spread in spreads]) for field in ("lower", "upper"))
    figure.add_trace(
        go.Scatter(
            x=with_gaps(place, place),
            y=with_gaps(lower, upper),
            mode="lines",
            hoverinfo="skip",
            line={"color": color, "width": 5},
            name="middle half",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=place,
            y=middle,
            mode="markers",
            name="median",
            text=_hovers(spreads, labels, matrices),
            hovertemplate="%{text}<extra></extra>",
            marker={"size": 8, "color": palette.background, "line": {"width": 2, "color": color}},
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
        )
    )
    finish(figure, height=300, x="block", y="sparsity of a row", left=84)
    figure.update_xaxes(
        **block_ticks(labels), showgrid=False, zeroline=False, range=[-0.7, len(labels) - 0.3], fixedrange=True
    )
    low, high = float(np.nanmin(ys)), float(np.nanmax(ys))
    room = max(0.04 * (high - low), 0.01)
    figure.update_yaxes(range=[max(0.0, low - room), min(1.0, high + room)], tickformat=".0%", fixedrange=True)
    figure.update_layout(hovermode="closest", hoverdistance=70, clickmode="event+select", dragmode=False)
    finding = _finding(spreads, labels, role)
    return Chart(
        figure=figure,
        finding=finding,
        name="sparsity-rows",
        data=_table(spreads, labels, matrices),
        alt=f"Violins of row sparsity, one per block. {finding}.",
    )


def _outline(at: int, spread: Spread) -> tuple[np.ndarray, np.ndarray]:
    """One closed outline with a gap after it: a violin, or a dash where all rows are equal."""
    if spread.even:
        x = np.array([at - 0.25, at + 0.25, np.nan])
        return x, np.array([spread.middle, spread.middle, np.nan])
    wide = _HALF * spread.density
    x = np.concatenate([at + wide, at - wide[::-1], [at + wide[0], np.nan]])
    y = np.concatenate([spread.grid, spread.grid[::-1], [spread.grid[0], np.nan]])
    return x, np.clip(y, 0, 1)


def _hovers(spreads: Sequence[Spread], labels: Sequence[str], matrices: Sequence[str]) -> list[str]:
    texts = []
    for spread, label, name in zip(spreads, labels, matrices, strict=True):
        head = f"<b>{label[:1].upper()}{label[1:]}</b>, {wording.plural(spread.rows, 'row')}"
        if spread.even:
            body = f"every row has a sparsity of {wording.percent(spread.middle)}"
        else:
            body = (
                f"rows from {wording.percent(spread.low)} to {wording.percent(spread.high)}<br>"
                f"half of them {wording.percent(spread.lower)} to {wording.percent(spread.upper)}, "
                f"median {wording.percent(spread.middle)}"
            )
        texts.append(f"{head}<br>{body}<br><i>click to open {name}</i>")
    return texts


def _table(spreads: Sequence[Spread], labels: Sequence[str], matrices: Sequence[str]) -> pd.DataFrame:
    fields = ("rows", "cols", "low", "lower", "middle", "upper", "high", "even")
    return pd.DataFrame(
        [
            {"matrix": name, "place": label} | {field: getattr(spread, field) for field in fields}
            for spread, label, name in zip(spreads, labels, matrices, strict=True)
        ]
    )


def _finding(spreads: Sequence[Spread], labels: Sequence[str], role: str) -> str:
    spans = [round(100 * spread.high) - round(100 * spread.low) for spread in spreads]  # of the percents shown
    widest = max(spans)
    if not widest:
        return f"All rows of {role} have the same sparsity in each block"
    named = [label for label, span in zip(labels, spans, strict=True) if span == widest]
    if len(named) > 1:
        where = "in every block" if len(named) == len(spans) else f"most in {wording.plural(len(named), 'block')}"
        return f"Rows of {role} differ {where}: by {wording.plural(widest, 'point')}"
    first = spreads[spans.index(widest)]
    most = "" if len(spans) == 1 else "most "
    return (
        f"Rows of {role} differ {most}in {named[0]}: "
        f"{wording.percent(first.low, 0)} to {wording.percent(first.high, 0)}"
    )
