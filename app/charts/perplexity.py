"""Measured perplexity side by side: the dense model, the pruned one, the baselines, the base."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app import facts
from app.charts.base import Chart, finish, lines
from app.theme import METHODS as METHOD_COLORS
from app.theme import Palette

_SYMBOLS: Final = {
    "dense": "diamond",
    "base": "diamond-open",
    "pruned": "circle",
    "uniform": "circle-open",
}
_FAR: Final = 4.0  # times the dense perplexity: what lies beyond is drawn at the edge


def perplexity_table(metrics: dict[str, Any], method: str) -> pd.DataFrame:
    """One line per measured model: ``what label perplexity nll tokens windows window``."""
    lines = [
        ("dense", "Dense, all weights", metrics.get("dense")),
        ("pruned", "This run", metrics.get("pruned")),
        *(
            (rule, f"{facts.baseline_name(rule, method)}, same budget", found)
            for rule, found in (metrics.get("baselines") or {}).items()
        ),
        ("base", "Base, everything reset", metrics.get("base")),
    ]
    fields = ("perplexity", "nll", "tokens", "windows", "window")
    return pd.DataFrame(
        [
            {"what": what, "label": label}
            | {field: found.get(field, metrics.get(field)) for field in fields}
            for what, label, found in lines
            if found
        ]
    )


def perplexity_dots(metrics: dict[str, Any], method: str, palette: Palette) -> Chart:
    """Perplexity of each model, lower being better."""
    table = perplexity_table(metrics, method)
    values = table["perplexity"].to_numpy(np.float64)
    axis, edge = _axis(values)
    figure = go.Figure()
    figure.add_vline(x=float(values[0]), line={"color": palette.muted, "width": 1, "dash": "dot"})
    for line in lines(table):
        color, far = _color(line.what, method, palette), line.perplexity > edge
        symbol = "triangle-right" if far else _SYMBOLS.get(line.what, "square")
        said = facts.perplexity(line.perplexity)
        figure.add_trace(
            go.Scatter(
                x=[min(line.perplexity, edge)], y=[line.label], mode="markers+text",
                text=[f"{said} →" if far else said], cliponaxis=False,
                textposition="top left" if far else "top center",
                textfont={"color": palette.text, "size": 12},
                marker={"size": 12, "color": color, "symbol": symbol,
                        "line": {"width": 2, "color": color}},
                hovertemplate=f"<b>{line.label}</b><br>perplexity {line.perplexity:,.4g}<br>"
                f"{line.nll:.4f} nats per token<br>"
                f"{line.tokens:,} tokens in windows of {line.window:,}<extra></extra>",
            )
        )  # fmt: skip
    finish(
        figure, height=44 * len(table) + 10, x="perplexity, lower is better", y="", left=190,
    )  # fmt: skip
    figure.update_xaxes(**axis)
    figure.update_yaxes(
        range=[len(table) - 0.5, -0.75], showgrid=False, categoryorder="array",
        categoryarray=list(table["label"]),
    )  # fmt: skip
    finding = perplexity_finding(table, method)
    return Chart(
        figure=figure, finding=finding, name="perplexity", data=table,
        alt=f"Perplexity of each model, lower is better. {finding}.",
    )  # fmt: skip


def _axis(values: NDArray[np.float64]) -> tuple[dict[str, Any], float]:
    """The axis, and the perplexity from which a point is drawn at its right edge.

    What lies far from the dense model (a random choice does) would leave no room for the rest.
    """
    near = values[values <= _FAR * values[0]]
    if len(near) < 2:  # all are far: powers of ten
        ends = [float(np.log10(values.min())) - 0.15, float(np.log10(values.max())) + 0.15]
        axis = {"type": "log", "range": ends, "exponentformat": "power",
                "title": {"text": "perplexity, lower is better (log scale)"}}  # fmt: skip
        return axis, float("inf")
    low, high = float(near.min()), float(near.max())
    room = max(0.1 * (high - low), 0.02 * low)
    edge = high + 2 * room if len(near) < len(values) else float("inf")
    return {"range": [low - room, high + (2.6 if len(near) < len(values) else 1) * room]}, edge


def perplexity_finding(table: pd.DataFrame, method: str) -> str:
    """Before and after in one sentence, and which baseline did better, if any did."""
    by_what = table.set_index("what")["perplexity"]
    dense, pruned = float(by_what["dense"]), float(by_what["pruned"])
    text = f"Perplexity {facts.perplexity(dense)} to {facts.perplexity(pruned)}"
    rest = by_what.drop(index=["dense", "pruned", "base"], errors="ignore")
    if rest.empty:
        return text
    best = str(rest.idxmin())
    if float(rest.min()) < pruned:
        name = facts.baseline_inline(best, method)
        return f"{text}; {name} does better at the same budget ({facts.perplexity(rest.min())})"
    return f"{text}; no baseline does better at the same budget"


def _color(what: str, method: str, palette: Palette) -> str:
    if what in ("dense", "base"):
        return palette.muted
    rule = method if what in ("pruned", "uniform") else what
    return METHOD_COLORS.get(rule, palette.primary)
