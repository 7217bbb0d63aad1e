"""Size of the file against how near its answers come: every measured run of one model on one plot."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, finish, lines
from app.charts.ticks import log_ticks
from kencore.methods.table import METHODS, method_color, method_label
from kencore.views.closeness import smallest
from kencore.words import numbers as wording
from kencore.words.palette import Palette

NEAR: Final = 0.97  # of the answers the same
LABELS: Final = {
    "kl": "KL from the dense model (nats)",
    "same_answer": "same answers (%)",
    "accuracy": "accuracy (%)",
    "similarity": "similarity (%)",
    "perplexity": "perplexity",
}
MARKS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "triangle-down", "pentagon")


def known(table: pd.DataFrame) -> dict[str, str]:
    """What can stand on the vertical axis, by column, the most telling first: what two runs or more know."""
    found = {"kl": "KL", "same_answer": "Same answers", "quality": _capital(_measure(table))}
    return {name: label for name, label in found.items() if table[name].notna().sum() > 1} or {
        "quality": found["quality"]
    }


def bytes_plot(table: pd.DataFrame, palette: Palette, measure: str, *, log: bool = True) -> Chart:
    """A mark for each run by size and closeness, colored by method; its custom data is the run.

    Args:
        table: `kencore.views.closeness.by_bytes`.
        measure: ``kl``, ``same_answer`` or ``quality``.
        log: the sizes are on a log axis.
    """
    named = _measure(table) if measure == "quality" else measure
    scale = 1 if named in ("kl", "perplexity") else 100
    shown = table[table[measure].notna()]
    figure = go.Figure()
    for method in [name for name in METHODS if name in set(shown["method"])]:
        part = shown[shown["method"] == method]
        values = part[measure] * scale
        if named == "kl":
            values = values.clip(lower=_least(shown))
        look: dict[str, Any] = {"color": method_color(method), "size": 10, "line": {"width": 1}}
        look["symbol"] = MARKS[list(METHODS).index(method) % len(MARKS)]
        look["line"]["color"] = palette.background
        figure.add_trace(
            go.Scatter(
                x=part["bytes"],
                y=values,
                mode="markers",
                name=method_label(method),
                marker=look,
                customdata=part["run"],
                text=[_hover(line) for line in lines(part)],
                hovertemplate="%{text}<extra></extra>",
                cliponaxis=False,
            )
        )
    if named == "same_answer":
        figure.add_hline(
            y=scale * NEAR,
            line={"color": palette.muted, "dash": "dot", "width": 1},
            annotation={"text": wording.percent(NEAR, 0), "font": {"color": palette.muted, "size": 11}},
            annotation_position="top left",
        )
    finish(figure, height=340, x="size of the subnetwork file", y=LABELS.get(named, named), legend=True, left=76)
    _axes(figure, shown, logarithmic=named == "kl", log=log)
    finding = _finding(table, shown, named)
    return Chart(
        figure=figure,
        finding=finding,
        name=f"bytes-{named}",
        data=table,
        alt=f"Marks of {len(shown)} runs by the size of their file and {LABELS.get(named, named)}. {finding}.",
    )


def _axes(figure: go.Figure, shown: pd.DataFrame, *, logarithmic: bool, log: bool) -> None:
    sizes = shown["bytes"].to_numpy(np.float64)
    if logarithmic:
        figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    if not log or not len(sizes):
        figure.update_xaxes(rangemode="tozero", tickformat="~s", ticksuffix="B")
        return
    low, high = float(sizes.min()), float(sizes.max())
    room = 0.06 * max(0.3, math.log10(high / low))
    ticks = log_ticks(low, high) or [low]  # files may be nearly of one size
    figure.update_xaxes(
        type="log",
        range=[math.log10(low) - room, math.log10(high) + room],
        tickvals=ticks,
        ticktext=[wording.size(tick) for tick in ticks],
        tickmode="array",
    )


def _finding(table: pd.DataFrame, shown: pd.DataFrame, named: str) -> str:
    """The smallest file with nearly the same answers; where nobody measured those, how many runs there are."""
    best = smallest(table, NEAR)
    if best is not None:
        what = f"{wording.percent(best['same_answer'])} of the answers the same in {wording.size(int(best['bytes']))}"
        least = wording.percent(NEAR, 0)
        return f"{what}: the smallest of those measured with {least} or more, by {method_label(best['method'])}"
    if table["same_answer"].notna().any():
        return f"No file here keeps {wording.percent(NEAR, 0)} of the answers the same"
    count = wording.plural(len(shown), "run")
    return f"{count} by the size of the file and {LABELS.get(named, named).split(' (')[0]}"


def _hover(line: Any) -> str:
    near = "" if math.isnan(line.kl) else f"<br>{line.kl:.2g} nats, {wording.percent(line.same_answer)} same answers"
    value = f"{line.quality:.4g}" if line.measure == "perplexity" else wording.percent(line.quality)
    size = f"{wording.size(line.bytes)}, {line.bits:.3g} bits per weight"
    return f"<b>{line.label}</b><br>{size}{near}<br>{line.measure} {value}"


def _measure(table: pd.DataFrame) -> str:
    return str(table["measure"].iloc[0]) if len(table) else "accuracy"


def _least(shown: pd.DataFrame) -> float:
    """Where a divergence of zero stands on a log axis."""
    some = shown.loc[shown["kl"] > 0, "kl"]
    return float(some.min()) / 2 if len(some) else 1e-6


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
