"""Settings that were tried: what each keeps or takes and how good it is, with the current one marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, finish
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.palette import Palette


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured setting. ``size``: kept share, or bits per weight; ``low`` and ``high`` are the 95 % interval, NaN
    where there is none.
    """

    label: str
    size: float
    value: float
    low: float
    high: float


def settings_chart(
    points: Sequence[Point],
    now: int | None,
    dense: float | None,
    palette: Palette,
    *,
    lower: bool,
    name: str = "accuracy",
    coded: bool = False,
) -> Chart:
    """Quality against the kept share or the bits per weight, one numbered point a setting, beside the run itself.

    Args:
        points: in the order in which they were tried.
        now: which one the sliders stand at.
        dense: the unpruned model's value.
        lower: less is better (perplexity).
        name: what it is otherwise.
        coded: sizes are bits per weight.
    """
    scale, name = (1.0, "perplexity") if lower else (100.0, name)
    say = facts.perplexity if lower else wording.percent
    figure = go.Figure()
    if dense is not None:
        figure.add_hline(y=scale * dense, line={"color": palette.muted, "dash": "dot", "width": 2})
        figure.add_annotation(
            text=f"dense {say(dense)}",
            x=0 if coded else 1,  # sizes lie at the right end of their axis, shares anywhere
            xref="paper",
            xanchor="left" if coded else "right",
            y=scale * dense,
            yanchor="bottom",
            showarrow=False,
            font={"color": palette.muted, "size": 11},
        )
    here = [i == now for i in range(len(points))]
    known = [not math.isnan(point.low) for point in points]
    figure.add_trace(
        go.Scatter(
            x=[point.size for point in points],
            y=[scale * point.value for point in points],
            mode="markers+text",
            text=["run", *(str(i) for i in range(1, len(points)))],
            textposition="middle right",
            textfont={"color": palette.text, "size": 12},
            marker={
                "size": [15 if at else 10 for at in here],
                "symbol": ["diamond" if at else "circle" for at in here],
                "color": [palette.primary if at else palette.background for at in here],
                "line": {"width": 2, "color": palette.primary},
            },
            error_y={
                "type": "data",
                "symmetric": False,
                "color": palette.muted,
                "thickness": 1,
                "width": 3,
                "array": [scale * (p.high - p.value) if ok else 0 for p, ok in zip(points, known, strict=True)],
                "arrayminus": [scale * (p.value - p.low) if ok else 0 for p, ok in zip(points, known, strict=True)],
            },
            customdata=[point.label for point in points],
            cliponaxis=False,
            hovertemplate=f"<b>%{{customdata}}</b><br>{'%{x:.3~g} bits' if coded else '%{x:.1%} kept'}, "
            f"{name} %{{y:.1f}}<extra></extra>",
        )
    )
    finish(
        figure,
        height=230,
        x="bits per weight" if coded else "kept share of the pruned tensors",
        y=f"{name}, lower is better" if lower else f"{name}, %",
        left=64,
    )
    if coded:
        figure.update_xaxes(range=[0, 1.15 * max(point.size for point in points)], nticks=6)
    else:
        figure.update_xaxes(tickformat=".0%", range=[0, 1.06], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_layout(clickmode="event+select", dragmode=False, hovermode="closest")
    finding = _finding(points, now, lower, name, say, coded)
    data = pd.DataFrame(
        {
            "number": range(len(points)),
            "setting": [point.label for point in points],
            "bits" if coded else "kept_share": [point.size for point in points],
            name: [point.value for point in points],
            "low": [point.low for point in points],
            "high": [point.high for point in points],
            "current": here,
        }
    )
    return Chart(
        figure=figure,
        finding=finding,
        name="settings",
        data=data,
        alt=f"Points of {name} over the {'bits per weight' if coded else 'kept share'}, one per setting that was "
        f"tried. {finding}.",
    )


def _finding(points: Sequence[Point], now: int | None, lower: bool, name: str, say: object, coded: bool = False) -> str:
    """What the points say: the current one against the run, or how many there are."""
    assert callable(say)
    if now is not None and now > 0:
        one, run = points[now], points[0]
        sizes = [f"{p.size:.3g} bits" if coded else wording.percent(p.size) for p in (one, run)]
        return (
            f"Setting {now} {'takes' if coded else 'keeps'} {sizes[0]}: {name} {say(one.value)}; the run: "
            f"{say(run.value)} at {sizes[1]}"
        )
    if len(points) == 1:
        return "Only the run itself is measured so far"
    sign = -1 if lower else 1
    best = max(range(len(points)), key=lambda i: sign * points[i].value)
    named = "the run itself" if best == 0 else f"setting {best}"
    rivals = [i for i in range(len(points)) if i != best and _overlap(points[i], points[best])]
    text = f"Best of {len(points)} settings: {named}, {say(points[best].value)}"
    if not rivals:
        return text
    return f"{text}; {wording.plural(len(rivals), 'other')} within its interval, so it may be chance"


def _overlap(one: Point, best: Point) -> bool:
    """Whether a setting cannot be told from the best by their intervals; equal values never can."""
    if one.value == best.value:
        return True
    return bool(best.low <= one.value <= best.high)  # no interval: NaN, and nothing is said
