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
_FAR: Final = 6.0  # times the smallest perplexity: from here the axis counts powers


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
    figure = go.Figure()
    figure.add_vline(x=float(values[0]), line={"color": palette.muted, "width": 1, "dash": "dot"})
    for line in lines(table):
        color = _color(line.what, method, palette)
        figure.add_trace(
            go.Scatter(
                x=[line.perplexity], y=[line.label], mode="markers+text",
                text=[facts.perplexity(line.perplexity)], textposition="top center",
                textfont={"color": palette.text, "size": 12}, cliponaxis=False,
                marker={"size": 12, "color": color, "symbol": _SYMBOLS.get(line.what, "square"),
                        "line": {"width": 2, "color": color}},
                hovertemplate=f"<b>{line.label}</b><br>perplexity {line.perplexity:,.4g}<br>"
                f"{line.nll:.4f} nats per token<br>"
                f"{line.tokens:,} tokens in windows of {line.window:,}<extra></extra>",
            )
        )  # fmt: skip
    finish(
        figure, height=44 * len(table) + 10, x="perplexity, lower is better", y="", left=190,
    )  # fmt: skip
    figure.update_xaxes(**_axis(values))
    figure.update_yaxes(
        range=[len(table) - 0.5, -0.75], showgrid=False, categoryorder="array",
        categoryarray=list(table["label"]),
    )  # fmt: skip
    finding = perplexity_finding(table, method)
    return Chart(
        figure=figure, finding=finding, name="perplexity", data=table,
        alt=f"Perplexity of each model, lower is better. {finding}.",
    )  # fmt: skip


def _axis(values: NDArray[np.float64]) -> dict[str, Any]:
    """Room around the values; powers of ten where they lie far apart."""
    low, high = float(values.min()), float(values.max())
    if high <= _FAR * low:
        room = max(0.08 * (high - low), 0.02 * low)
        return {"range": [low - room, high + room]}
    ends = [float(np.log10(low)) - 0.15, float(np.log10(high)) + 0.15]
    powers = range(int(np.floor(ends[0])), int(np.ceil(ends[1])) + 1)
    few = ends[1] - ends[0] < 2.2  # then also 2 and 5 of each power
    ticks = [step * 10.0**power for power in powers for step in ((1, 2, 5) if few else (1,))]
    shown = [tick for tick in ticks if ends[0] <= np.log10(tick) <= ends[1]]
    return {
        "type": "log", "range": ends, "tickmode": "array", "tickvals": shown,
        "ticktext": [f"{tick:,.4g}" for tick in shown],
        "title": {"text": "perplexity, lower is better (log scale)", "standoff": 8},
    }  # fmt: skip


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
        name = facts.baseline_name(best, method)
        return f"{text}; {name} does better at the same budget ({facts.perplexity(rest.min())})"
    return f"{text}; no baseline does better at the same budget"


def _color(what: str, method: str, palette: Palette) -> str:
    if what in ("dense", "base"):
        return palette.muted
    rule = method if what in ("pruned", "uniform") else what
    return METHOD_COLORS.get(rule, palette.primary)
