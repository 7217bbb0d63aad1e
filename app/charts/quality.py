"""Measured quality side by side: the tuned model, the pruned one, the baselines, the base."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app import facts, wording
from app.charts.base import Chart, finish, lines
from app.theme import METHODS as METHOD_COLORS
from app.theme import Palette

_SYMBOLS = {"dense": "diamond", "base": "diamond-open", "pruned": "circle"}


def quality_table(metrics: dict[str, Any], method: str) -> pd.DataFrame:
    """One line per measured model: ``what label accuracy low high f1_macro loss examples``.

    Args:
        metrics: a run's metrics, not empty.
        method: the run's own rule.
    """
    label = wording.METHODS.get(method, method)
    lines = [("dense", "Tuned, all parameters", metrics.get("dense"))]
    lines += [("pruned", f"{label} (this run)", metrics.get("pruned"))]
    lines += [
        (rule, f"{facts.baseline_name(rule, method)}, same budget", found)
        for rule, found in (metrics.get("baselines") or {}).items()
    ]
    lines += [("base", "Base, everything reset", metrics.get("base"))]
    return pd.DataFrame(
        [
            {
                "what": what, "label": label, "accuracy": found["accuracy"],
                "low": found["accuracy_low"], "high": found["accuracy_high"],
                "f1_macro": found.get("f1_macro"), "loss": found.get("loss"),
                "examples": found.get("examples", metrics.get("examples")),
            }
            for what, label, found in lines
            if found
        ]
    )  # fmt: skip


def quality_dots(metrics: dict[str, Any], method: str, palette: Palette) -> Chart:
    """Accuracy of each model with its 95 % interval."""
    table = quality_table(metrics, method)
    colors = [_color(what, method, palette) for what in table["what"]]
    accuracy = table["accuracy"].to_numpy(np.float64)
    figure = go.Figure()
    dense = table.loc[table["what"] == "dense"].iloc[0]
    figure.add_vrect(
        x0=100 * dense.low, x1=100 * dense.high, fillcolor=palette.muted, opacity=0.12, line_width=0
    )
    for line, color in zip(lines(table), colors, strict=True):
        figure.add_trace(
            go.Scatter(
                x=[100 * line.accuracy], y=[line.label], mode="markers+text",
                text=[f"{100 * line.accuracy:.1f} %"], textposition="top center",
                textfont={"color": palette.text, "size": 12},
                marker={"size": 12, "color": color, "symbol": _SYMBOLS.get(line.what, "square"),
                        "line": {"width": 2, "color": color}},
                error_x={"type": "data", "symmetric": False, "color": color, "thickness": 2,
                         "array": [100 * (line.high - line.accuracy)],
                         "arrayminus": [100 * (line.accuracy - line.low)]},
                hovertemplate=(
                    f"<b>{line.label}</b><br>accuracy %{{x:.2f}} %<br>95 % interval "
                    f"{100 * line.low:.1f} to {100 * line.high:.1f} %<extra></extra>"
                ),
            )
        )  # fmt: skip
    finding = quality_finding(table)
    finish(
        figure, height=44 * len(table) + 10,
        x="accuracy, with 95 % interval", y="", left=180,
    )  # fmt: skip
    low, high = 100 * table["low"].min(), 100 * table["high"].max()
    room = max(1.0, 0.06 * (high - low))
    figure.update_xaxes(range=[max(0, low - room), min(100.5, high + room)], ticksuffix=" %")
    figure.update_yaxes(
        range=[len(table) - 0.5, -0.75], showgrid=False, categoryorder="array",
        categoryarray=list(table["label"]),
    )  # fmt: skip
    assert np.isfinite(accuracy).all()
    return Chart(
        figure=figure, finding=finding, name="quality", data=table,
        alt=f"Accuracy of each model with its 95 % interval. {finding}.",
    )  # fmt: skip


def quality_finding(table: pd.DataFrame) -> str:
    """Before and after in one sentence, and which baseline did better, if any did."""
    by_what = table.set_index("what")
    found = {line.Index: line for line in lines(by_what)}
    dense, pruned = found["dense"], found["pruned"]
    change = f"Accuracy {wording.percent(dense.accuracy)} to {wording.percent(pruned.accuracy)}"
    if pruned.low <= dense.accuracy <= pruned.high:
        change += ", within the interval of the measurement"
    rest = by_what.drop(index=["dense", "pruned", "base"], errors="ignore")
    if rest.empty:
        return change
    best = rest["accuracy"].idxmax()
    name = wording.BASELINES.get(str(best), str(best)).lower()
    better = rest["accuracy"].max() - pruned.accuracy
    if better > 0:
        reached = wording.percent(float(rest["accuracy"].max()))
        return f"{change}; {name} does better at the same budget ({reached})"
    return f"{change}; no baseline does better at the same budget"


def _color(what: str, method: str, palette: Palette) -> str:
    if what in ("dense", "base"):
        return palette.muted
    return METHOD_COLORS.get(method if what == "pruned" else what, palette.primary)
