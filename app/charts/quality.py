"""Measured quality side by side: the tuned model, the pruned one, the baselines, the base."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.charts import steps
from app.charts.base import Chart, finish, lines
from kencore.words import quality as quality_words
from kencore.words import run as facts
from kencore.words.palette import Palette
from kencore.words.quality import MEASURES, quality_finding, quality_table


def quality_dots(metrics: dict[str, Any], method: str, palette: Palette, measure: str | None = None) -> Chart:
    """One measure of each model with its 95 % interval.

    Args:
        measure: one of ``MEASURES`` that `measured.scores` finds in the metrics; ``None``: what the run is judged by.
    """
    measure = measure or facts.share_name(metrics)
    table = quality_table(metrics, method)
    table = table[table[measure].notna()].reset_index(drop=True)
    percent = 100 * table[[measure, f"{measure}_low", f"{measure}_high"]].to_numpy(np.float64)
    known = ~np.isnan(percent).any(axis=1)  # old runs have no interval of F1
    figure = go.Figure()
    if known[0]:
        figure.add_vrect(x0=percent[0, 1], x1=percent[0, 2], fillcolor=palette.muted, opacity=0.12, line_width=0)
    for i, line in enumerate(lines(table)):
        value, low, high = percent[i]
        color = quality_words.color(line.what, method, palette)
        interval = f"<br>95 % interval {low:.1f} to {high:.1f} %" if known[i] else ""
        figure.add_trace(
            go.Scatter(
                x=[value],
                y=[line.label],
                mode="markers+text",
                text=[f"{value:.1f} %"],
                textposition="top center",
                textfont={"color": palette.text, "size": 12},
                cliponaxis=False,
                marker={
                    "size": 12,
                    "color": color,
                    "symbol": quality_words.symbol(line.what, method),
                    "line": {"width": 2, "color": color},
                },
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "color": color,
                    "thickness": 2,
                    "array": [high - value],
                    "arrayminus": [value - low],
                }
                if known[i]
                else {},
                hovertemplate=f"<b>{line.label}</b><br>{MEASURES[measure].lower()} %{{x:.2f}} %"
                f"{interval}<extra></extra>",
            )
        )
    name = MEASURES[measure]
    shown = f"{name[0].lower()}{name[1:]}" if name != "F1" else name
    finish(
        figure,
        height=steps.ROW * len(table) + 10,
        x=shown + (", with 95 % interval" if known.any() else ""),
        y="",
        left=steps.LEFT,
    )
    low, high = float(np.nanmin(percent)), float(np.nanmax(percent))
    room = max(1.0, 0.1 * (high - low))
    figure.update_xaxes(range=[max(0, low - room), min(102, high + room)], ticksuffix=" %")
    steps.label_axis(figure, list(table["label"]))
    finding = quality_finding(table, metrics, method, measure)
    return Chart(
        figure=figure,
        finding=finding,
        name="quality",
        data=table,
        alt=f"{name} of each model{' with its 95 % interval' if known.any() else ''}. {finding}.",
    )
