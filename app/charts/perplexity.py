"""Measured perplexity side by side: the dense model, the pruned one, the baselines, the base."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts import steps
from app.charts.base import Chart, finish, lines
from app.charts.ticks import log_ticks
from kencore.words import quality as quality_words
from kencore.words import run as facts
from kencore.words.palette import Palette
from kencore.words.quality import perplexity_finding, perplexity_table

_FAR: Final = 4.0  # times the dense perplexity: what lies beyond is drawn at the edge


def perplexity_dots(metrics: dict[str, Any], method: str, palette: Palette) -> Chart:
    """Perplexity of each model, lower being better."""
    table = perplexity_table(metrics, method)
    values = table["perplexity"].to_numpy(np.float64)
    ends = table[["perplexity_low", "perplexity_high"]].to_numpy(np.float64)  # models, 2
    axis, edge = _axis(values, ends, int((table["what"] == "pruned").to_numpy().argmax()))
    figure = go.Figure()
    figure.add_vline(x=float(values[0]), line={"color": palette.muted, "width": 1, "dash": "dot"})
    for line in lines(table):
        _add_dot(figure, line, method, edge, palette)
    finish(figure, height=steps.ROW * len(table) + 10, x=axis["title"]["text"], y="", left=steps.LEFT)
    figure.update_xaxes(**axis)
    steps.label_axis(figure, list(table["label"]))
    finding = perplexity_finding(table, metrics, method)
    return Chart(
        figure=figure,
        finding=finding,
        name="perplexity",
        data=table,
        alt=f"Perplexity of each model, lower is better. {finding}.",
    )


def _add_dot(figure: go.Figure, line: Any, method: str, edge: float, palette: Palette) -> None:
    color, far = quality_words.color(line.what, method, palette), line.perplexity > edge
    symbol = "triangle-right" if far else quality_words.symbol(line.what, method)
    said = facts.perplexity(line.perplexity)
    low, high = line.perplexity_low, line.perplexity_high
    known = bool(np.isfinite([low, high]).all())
    bars = {
        "type": "data",
        "symmetric": False,
        "color": color,
        "thickness": 2,
        "array": [max(0.0, min(high, edge) - line.perplexity)],
        "arrayminus": [line.perplexity - low],
    }
    interval = f"<br>95 % interval {low:,.4g} to {high:,.4g}" if known else ""
    figure.add_trace(
        go.Scatter(
            x=[min(line.perplexity, edge)],
            y=[line.label],
            mode="markers+text",
            text=[f"{said} →" if far else said],
            cliponaxis=False,
            textposition="top left" if far else "top center",
            textfont={"color": palette.text, "size": 12},
            marker={"size": 12, "color": color, "symbol": symbol, "line": {"width": 2, "color": color}},
            error_x=bars if known and not far else {},
            hovertemplate=f"<b>{line.label}</b><br>perplexity {line.perplexity:,.4g}{interval}<br>"
            f"{line.nll:.4f} nats per token<br>"
            f"{line.tokens:,} tokens in windows of {line.window:,}<extra></extra>",
        )
    )


def _axis(values: NDArray[np.float64], ends: NDArray[np.float64], own: int) -> tuple[dict[str, Any], float]:
    """The axis, and the perplexity from which a point is drawn at its right edge.

    What lies far from the dense model (a random choice does) would leave no room for the rest; where the run itself
    does, or all others, powers of ten hold all of them.
    """
    title, near = "perplexity, lower is better", values <= _FAR * values[0]
    title = "lower is better; 95 % interval" if np.isfinite(ends).any() else title  # a phone has no room for more
    drawn = np.concatenate([values[near], ends[near].ravel()])
    if near.sum() < 2 or not near[own]:
        drawn = np.concatenate([values, ends.ravel()])
        logs = [float(np.log10(np.nanmin(drawn))) - 0.15, float(np.log10(np.nanmax(drawn))) + 0.15]
        ticks = log_ticks(10 ** logs[0], 10 ** logs[1])
        axis = {"type": "log", "range": logs, "title": {"text": "log scale, lower is better"}}
        axis |= {"tickmode": "array", "tickvals": ticks, "ticktext": [f"{tick:,g}" for tick in ticks]}
        return axis, float("inf")
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    room, all_near = max(0.1 * (high - low), 0.02 * low), bool(near.all())
    edge = float("inf") if all_near else high + 2 * room
    span = [low - room, high + (1 if all_near else 2.6) * room]
    return {"range": span, "title": {"text": title}}, edge
