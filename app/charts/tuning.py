"""How a model learned after pruning: its curves, and the gap between old and new data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.charts.base import Chart, finish, lines
from kencore.words.palette import Palette
from kencore.words.search_and_recover import SIDES, STEPS, curve_finding, curve_table, gap_finding, gap_table


def curve(points: Sequence[Mapping[str, Any]], palette: Palette, *, best: int | None = None) -> Chart:
    """Training and held-out loss over steps.

    Args:
        points: as `kencore.recovery.recover` tells them, at least one.
        best: the step whose weights were kept; ``None`` while it still learns.
    """
    table = curve_table(points)
    total = max(int(points[-1]["steps"]), 1)
    train = table[table["train_loss"].notna()]
    held_out = table[table["held_out_loss"].notna()]
    figure = go.Figure()
    if best is not None:
        figure.add_vline(x=best, line={"color": palette.muted, "width": 1, "dash": "dot"})
        figure.add_annotation(
            x=best,
            y=1,
            yref="paper",
            text=f"kept: step {best:,}",
            showarrow=False,
            xanchor="right" if best > total / 2 else "left",
            yanchor="top",
            font={"size": 11, "color": palette.muted},
            bgcolor=palette.background,
            opacity=0.9,
        )
    figure.add_trace(
        go.Scatter(
            x=train["step"],
            y=train["train_loss"],
            mode="lines",
            name="training",
            line={"color": palette.muted, "width": 1.5},
            hovertemplate="step %{x:,}<br>training loss %{y:.4f}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=held_out["step"],
            y=held_out["held_out_loss"],
            mode="lines+markers",
            name="held out",
            line={"color": palette.primary, "width": 2.5},
            marker={"size": 8},
            hovertemplate="step %{x:,}<br>held-out loss %{y:.4f}<extra></extra>",
        )
    )
    finish(figure, height=270, x="optimizer steps", y="loss (nats)", legend=True)
    figure.update_xaxes(range=[-0.02 * total, 1.02 * total])
    finding = curve_finding(table, total, best)
    return Chart(
        figure=figure,
        finding=finding,
        name="tuning",
        data=table,
        alt=f"Training and held-out loss over optimizer steps. {finding}.",
    )


def gap(tuning: Mapping[str, Any], palette: Palette) -> Chart:
    """How good each state is on what is learned from and on what is held out.

    Args:
        tuning: a tuned run's ``tuning.json``.
    """
    table = gap_table(tuning)
    language = tuning["task"] == "language"
    scale, unit = (1, "") if language else (100, " %")
    looks = {"train": (palette.muted, "circle-open", -0.14), "held_out": (palette.primary, "circle", 0.14)}
    places = {step: i for i, step in enumerate(STEPS)}
    figure = go.Figure()
    for side, name in SIDES.items():
        color, symbol, off = looks[side]
        part = table[table["side"] == side]
        values = scale * part["value"].to_numpy(np.float64)
        ends = scale * part[["low", "high"]].to_numpy(np.float64)
        known = bool(np.isfinite(ends).all())
        figure.add_trace(
            go.Scatter(
                x=values,
                y=[places[step] + off for step in part["what"]],
                mode="markers",
                name=name,
                marker={"size": 11, "color": color, "symbol": symbol, "line": {"width": 2, "color": color}},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "color": color,
                    "thickness": 2,
                    "array": ends[:, 1] - values,
                    "arrayminus": values - ends[:, 0],
                }
                if known
                else {},
                customdata=[line.label for line in lines(part)],
                hovertemplate=f"<b>%{{customdata}}</b>, {name}<br>%{{x:.2f}}{unit}<extra></extra>",
            )
        )
    title = "perplexity, lower is better" if language else "accuracy"
    interval = ", with 95 % interval" if table["low"].notna().any() else ""
    finish(figure, height=50 * len(places) + 30, x=title + interval, y="", legend=True, left=72)
    figure.update_xaxes(ticksuffix=unit)
    figure.update_yaxes(
        range=[len(places) - 0.5, -0.5],
        tickvals=list(places.values()),
        ticktext=list(STEPS.values()),
        showgrid=False,
        zeroline=False,
    )
    finding = gap_finding(tuning)
    return Chart(
        figure=figure,
        finding=finding,
        name="generalisation-gap",
        data=table,
        alt=f"Each state on training and on held-out data. {finding}.",
    )
