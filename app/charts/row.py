"""One row of a matrix: its values, and where in the row's range entries were kept.

C columns (entries of the row).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.base import Chart, finish, lines, with_gaps
from kencore.words import numbers as wording
from kencore.words.palette import Palette

DOTS: Final = 1100  # entries up to which each one also gets a marker


def row_values(
    row: NDArray[np.float32],
    keep: NDArray[np.bool_],
    palette: Palette,
    *,
    by_value: bool,
    base: NDArray[np.float32] | None = None,
    terms: wording.Terms = wording.TERMS["base"],
    coded: bool = False,
) -> Chart:
    """Every entry of a row as a stem from zero; kept ones solid with a dot, others dotted and
    open. Long rows say the same on two lanes of ticks below, since stems touch there. ``coded``: kept is what has a
    symbol in a file.
    """
    order = np.argsort(row, kind="stable") if by_value else np.arange(len(row))
    place = np.empty(len(row), np.int32)
    place[order] = np.arange(len(row), dtype=np.int32)  # entry -> where it is drawn
    figure = go.Figure()
    for kept in (False, True):  # kept ones are drawn last, on top
        chosen = np.flatnonzero(keep == kept).astype(np.int32)
        _add_stems(figure, place[chosen], row[chosen], chosen, kept, palette, terms, dots=len(row) <= DOTS)
        if len(row) > DOTS:
            add_lane(figure, place[chosen], kept, palette)
    finding = _values_finding(row, keep, terms, coded=coded)
    finish(
        figure,
        height=300,
        y=f"{terms.dense} value",
        legend=True,
        x="rank of the weight by value" if by_value else "index of the weight in the row",
    )
    figure.update_xaxes(showgrid=False, zeroline=False, range=[-0.01 * len(row), 1.01 * len(row)])
    figure.update_yaxes(zeroline=True)
    if len(row) > DOTS:
        figure.update_xaxes(anchor="y2")
        figure.update_layout(yaxis={"domain": [0.26, 1]}, yaxis2={"domain": [0, 0.22], **lanes(terms.gone, terms.done)})
    data = pd.DataFrame({"entry": np.arange(len(row)), terms.dense: row, "kept": keep, "place": place})
    if base is not None:
        data.insert(2, "base", base)
    return Chart(
        figure=figure,
        finding=finding,
        name="row-values",
        data=data,
        alt=f"Values of one row with {len(row)} weights, {terms.done} and not. {finding}.",
    )


def _add_stems(
    figure: go.Figure,
    x: NDArray[np.int32],
    y: NDArray[np.float32],
    entries: NDArray[np.int32],
    kept: bool,
    palette: Palette,
    terms: wording.Terms,
    *,
    dots: bool,
) -> None:
    """All stems of one kind as one line with gaps, and their ends as dots where they are few."""
    color = palette.kept if kept else palette.reset_mark
    label = terms.kept if kept else terms.gone_value
    common: dict[str, Any] = {
        "name": label,
        "legendgroup": label,
        "legendrank": 900 if kept else 1000,
        "hovertemplate": (
            f"weight %{{customdata[0]:,.0f}}<br>{terms.dense} value %{{customdata[1]:.5g}}"
            f"<extra>{terms.done if kept else terms.gone}</extra>"
        ),
    }
    about = np.stack([entries.astype(np.float32), y], axis=1)  # N, 2: exact up to 2^24 columns
    line = {"color": color, "width": 1.2 if kept else 1, "dash": "dot" if dots and not kept else "solid"}
    answering: dict[str, Any] = {"hoverinfo": "skip", "hovertemplate": None}
    if not dots:  # then the stems answer the pointer: each is two ends and a gap
        answering = {"customdata": about.repeat(3, axis=0)}
    figure.add_trace(
        go.Scatter(
            x=with_gaps(x, x),
            y=with_gaps(np.zeros(len(y)), y),
            mode="lines",
            line=line,
            showlegend=not dots,
            **(common | answering),
        )
    )
    if dots:
        figure.add_trace(
            go.Scatter(
                x=x,
                y=y,
                mode="markers",
                customdata=about,
                **common,
                marker={
                    "color": color,
                    "symbol": "circle" if kept else "circle-open",
                    "size": 5,
                    "line": {"width": 1, "color": color},
                },
            )
        )


def add_lane(figure: go.Figure, x: NDArray[Any], kept: bool, palette: Palette) -> None:
    """Ticks on the lane of kept entries, or on the one below it of the others."""
    level, half = (1.0 if kept else 0.0), 0.3
    figure.add_trace(
        go.Scatter(
            x=with_gaps(x, x),
            yaxis="y2",
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            y=with_gaps(np.full(len(x), level - half), np.full(len(x), level + half)),
            line={"color": palette.kept if kept else palette.reset_mark, "width": 1},
            name="kept" if kept else "reset",
        )
    )


def lanes(*names: str) -> dict[str, Any]:
    """An axis of named lanes, the first one at the bottom."""
    return {
        "range": [-0.5, len(names) - 0.5],
        "tickmode": "array",
        "tickvals": list(range(len(names))),
        "ticktext": list(names),
        "showgrid": False,
        "zeroline": False,
        "fixedrange": True,
    }


def _values_finding(
    row: NDArray[np.float32], keep: NDArray[np.bool_], terms: wording.Terms, *, coded: bool = False
) -> str:
    kept = int(np.count_nonzero(keep))
    verb = "keep their tuned value" if terms.dense == "tuned" else "are kept"
    verb = "have a symbol of their change in the file" if coded else verb
    return f"{kept:,} of {len(row):,} weights {verb} ({wording.short_percent(kept / max(1, len(row)))})"


def distance_bars(
    deciles: pd.DataFrame, share: float, palette: Palette, terms: wording.Terms = wording.TERMS["base"]
) -> Chart:
    """Kept share by distance from the row's middle, against the same budget at random.

    Args:
        deciles: `summaries.distance_deciles`.
        share: kept share of the whole row, which is what a random choice keeps everywhere.
    """
    hover = [
        f"tenth {line.decile}: |value - median| {line.near:.3g} to {line.far:.3g}<br>"
        f"{line.kept:,} of {line.entries:,} {terms.done} ({wording.percent(line.share)})"
        for line in lines(deciles)
    ]
    figure = go.Figure(
        go.Bar(
            x=deciles["decile"].to_numpy(np.int32),
            y=deciles["share"].to_numpy(np.float32),
            marker={"color": palette.kept},
            text=hover,
            textposition="none",
            name="this row",
            hovertemplate="%{text}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[0.45, len(deciles) + 0.55],
            y=[share, share],
            mode="lines",
            line={"color": palette.text, "width": 1.5, "dash": "dash"},
            name="same budget at random",
            hovertemplate=f"random {terms.does} %{{y:.1%}}<extra></extra>",
        )
    )
    near, far = float(deciles["share"].iloc[0]), float(deciles["share"].iloc[-1])
    ends = f"{wording.percent(near, 0)} near the middle, {wording.percent(far, 0)} in the tails"
    finding = f"{terms.done.capitalize()} share: {ends}"
    finish(figure, height=260, legend=True, y=f"{terms.done} share", x="tenth by |value - median|, nearest first")
    figure.update_yaxes(range=[0, 1.04], tickformat=".0%")
    figure.update_xaxes(dtick=1, showgrid=False, range=[0.4, len(deciles) + 0.6])
    figure.update_layout(bargap=0.25)
    return Chart(
        figure=figure,
        finding=finding,
        name="row-deciles",
        data=deciles,
        alt=f"Bars of {terms.done} share by distance from the median. {finding}.",
    )
