"""Measured quality side by side: the tuned model, the pruned one, the baselines, the base."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app import facts, measured, wording
from app.charts import steps
from app.charts.base import Chart, finish, lines
from app.theme import Palette

MEASURES: Final = measured.SCORES
_ENDS: Final = ("", "_low", "_high")


def quality_table(metrics: dict[str, Any], method: str) -> pd.DataFrame:
    """One line per measured model: ``what label``, each measure with ``_low`` and ``_high`` (NaN
    where it was not measured), ``loss examples``, and the change against dense in pairs.

    Args:
        metrics: a run's metrics, not empty.
        method: the run's own rule.
    """
    table = []
    for what, label, found in steps.steps(metrics, method, "Tuned, all parameters"):
        line: dict[str, Any] = {"what": what, "label": label}
        line |= {f"{name}{end}": found.get(f"{name}{end}") for name in MEASURES for end in _ENDS}
        line["loss"] = found.get("loss")
        line["examples"] = found.get("examples", metrics.get("examples"))
        versus = found.get("versus_dense") or {}
        line |= {name: versus.get(name) for name in ("lost", "won", "mcnemar_p")}
        table.append(line)
    numbers = [f"{name}{end}" for name in MEASURES for end in _ENDS] + ["loss", "mcnemar_p"]
    return pd.DataFrame(table).astype(dict.fromkeys(numbers, float))


def quality_dots(
    metrics: dict[str, Any], method: str, palette: Palette, measure: str = "accuracy"
) -> Chart:
    """One measure of each model with its 95 % interval.

    Args:
        measure: one of ``MEASURES`` that `measured.scores` finds in the metrics.
    """
    table = quality_table(metrics, method)
    table = table[table[measure].notna()].reset_index(drop=True)
    percent = 100 * table[[measure, f"{measure}_low", f"{measure}_high"]].to_numpy(np.float64)
    known = ~np.isnan(percent).any(axis=1)  # old runs have no interval of F1
    figure = go.Figure()
    if known[0]:
        figure.add_vrect(
            x0=percent[0, 1], x1=percent[0, 2], fillcolor=palette.muted, opacity=0.12, line_width=0
        )
    for i, line in enumerate(lines(table)):
        value, low, high = percent[i]
        color = steps.color(line.what, method, palette)
        interval = f"<br>95 % interval {low:.1f} to {high:.1f} %" if known[i] else ""
        figure.add_trace(
            go.Scatter(
                x=[value], y=[line.label], mode="markers+text", text=[f"{value:.1f} %"],
                textposition="top center", textfont={"color": palette.text, "size": 12},
                cliponaxis=False,
                marker={"size": 12, "color": color, "symbol": steps.symbol(line.what, method),
                        "line": {"width": 2, "color": color}},
                error_x={"type": "data", "symmetric": False, "color": color, "thickness": 2,
                         "array": [high - value], "arrayminus": [value - low]}
                if known[i] else {},
                hovertemplate=f"<b>{line.label}</b><br>{MEASURES[measure].lower()} %{{x:.2f}} %"
                f"{interval}<extra></extra>",
            )
        )  # fmt: skip
    name = MEASURES[measure]
    shown = f"{name[0].lower()}{name[1:]}" if name != "F1" else name
    finish(
        figure, height=steps.ROW * len(table) + 10,
        x=shown + (", with 95 % interval" if known.any() else ""), y="", left=steps.LEFT,
    )  # fmt: skip
    low, high = float(np.nanmin(percent)), float(np.nanmax(percent))
    room = max(1.0, 0.1 * (high - low))
    figure.update_xaxes(range=[max(0, low - room), min(102, high + room)], ticksuffix=" %")
    steps.label_axis(figure, list(table["label"]))
    finding = quality_finding(table, metrics, method, measure)
    return Chart(
        figure=figure, finding=finding, name="quality", data=table,
        alt=f"{name} of each model{' with its 95 % interval' if known.any() else ''}. {finding}.",
    )  # fmt: skip


def quality_finding(
    table: pd.DataFrame, metrics: dict[str, Any], method: str, measure: str = "accuracy"
) -> str:
    """Before and after in one sentence, and which baseline did better, if any did."""
    values = table.set_index("what")[measure]
    text = f"{MEASURES[measure]} {wording.percent(values['dense'])} to "
    if "untuned" in values:
        text += f"{wording.percent(values['untuned'])} by pruning, "
    text += wording.percent(values["pruned"])
    text += " after tuning" if "untuned" in values else ""
    if measure == "accuracy":
        text += _how_sure(metrics)
    rest = values.drop(index=list(steps.OWN), errors="ignore")
    if rest.empty:
        return text
    best = str(rest.idxmax())
    if rest[best] > values["pruned"]:
        name = facts.baseline_inline(best, method)
        return f"{text}; {name} does better at the same budget ({wording.percent(rest[best])})"
    return f"{text}; no baseline does better at the same budget"


def _how_sure(metrics: dict[str, Any]) -> str:
    """Whether the change may be chance: in pairs where that was measured, else by the interval."""
    pruned, dense = metrics["pruned"], metrics["dense"]
    if pruned.get("versus_dense"):
        changed = pruned["accuracy"] != dense["accuracy"]
        return ", which could be chance" if changed and measured.could_be_chance(pruned) else ""
    inside = pruned["accuracy_low"] <= dense["accuracy"] <= pruned["accuracy_high"]
    return ", within the interval of the measurement" if inside else ""
