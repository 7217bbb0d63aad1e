"""What an allocation looked at: costs of a search's candidates, scores of the blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, fade, finish
from app.charts.ticks import FEW
from kencore.views import sparsity
from kencore.words import numbers as wording
from kencore.words.palette import Palette
from kencore.words.search_and_recover import Kind, flatness_words, kind_of, number


def search_curve(search: Mapping[str, Any], name: str, what: str, color: str, palette: Palette) -> Chart:
    """Cost of each candidate, the chosen one marked, and a band of those within 1 % of the best.

    Args:
        search: ``block_search`` or ``row_search`` of a trace.
        name: of the file of its numbers.
        what: the step in words.
        color: of the run.
    """
    kind = kind_of(search)
    x = np.asarray(search[kind.candidates], np.float64)
    y = np.asarray([np.nan if cost is None else cost for cost in search[kind.costs]], np.float64)
    order = np.argsort(x, kind="stable")
    chosen = float(search["chosen"])
    at = int(np.argmin(np.abs(x - chosen)))
    found = sparsity.flatness(x.tolist(), y.tolist())
    best = float(np.nanmin(y)) if found else math.nan
    figure = go.Figure(
        go.Scatter(
            x=x[order],
            y=y[order],
            mode="lines+markers",
            connectgaps=True,  # a short search leaves candidates out
            name="candidates",
            line={"color": color, "width": 2},
            marker={"size": 7, "color": color},
            text=[_hover(kind, x[i], y[i], best) for i in order],
            hovertemplate="%{text}<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[x[at]],
            y=[y[at]],
            mode="markers+text",
            text=[f"chosen: {number(chosen)}"],
            textposition="bottom center",
            textfont={"color": palette.text, "size": 12},
            marker={
                "size": 15,
                "symbol": "circle-open",
                "color": palette.text,
                "line": {"width": 2, "color": palette.text},
            },
            hoverinfo="skip",
            name="chosen",
            cliponaxis=False,
        )
    )
    finish(figure, height=240, x=kind.axis, y=kind.unit, left=80)
    figure.update_xaxes(showgrid=False, zeroline=False)
    figure.update_yaxes(zeroline=False, exponentformat="power", nticks=6)
    if found and math.isfinite(found.worst):
        high = best * (1 + max(found.worst, sparsity.NEAR))
        room = 0.08 * (high - best)
        figure.update_yaxes(range=[best - 3 * room, high + room])  # the label stands below
        figure.add_hrect(
            y0=best, y1=best * (1 + sparsity.NEAR), fillcolor=fade(palette.muted, 0.16), line_width=0, layer="below"
        )
    finding = f"{what}: {flatness_words(kind, found, chosen)}"
    return Chart(
        figure=figure,
        finding=finding,
        name=name,
        data=pd.DataFrame({kind.candidates: x, kind.costs: y, "chosen": np.arange(len(x)) == at}),
        alt=f"Line of {kind.unit} over {kind.sign}, the chosen one marked. {finding}.",
    )


def block_scores(blocks: Sequence[Mapping[str, Any]], what: str, axis: str, color: str) -> Chart | None:
    """The score that decided each block's share, over depth; None where no block has one."""
    table = pd.DataFrame([dict(block) for block in blocks])
    if table.empty or "score" not in table or table["score"].isna().all():
        return None
    values = table["score"].to_numpy(np.float64)
    figure = go.Figure(
        go.Scatter(
            x=table["block"].to_numpy(np.int32),
            y=values,
            mode="lines+markers",
            name=what,
            line={"color": color, "width": 2},
            marker={"size": 8, "color": color},
            hovertemplate=f"block %{{x}}<br>{what} %{{y:.4g}}<extra></extra>",
        )
    )
    finish(figure, height=240, x="block", y=axis, left=80)
    figure.update_xaxes(showgrid=False, zeroline=False, **({"dtick": 1} if len(table) <= FEW else {}))
    low, high = int(table["block"].iloc[values.argmin()]), int(table["block"].iloc[values.argmax()])
    finding = (
        f"{what[:1].upper()}{what[1:]} ranges from {values.min():.3g} in block {low} to {values.max():.3g} in "
        f"block {high}"
    )
    return Chart(
        figure=figure,
        finding=finding,
        name="sparsity-scores",
        data=table,
        alt=f"Line of {what} over the blocks. {finding}.",
    )


def _hover(kind: Kind, candidate: float, cost: float, best: float) -> str:
    text = f"<b>{kind.sign} = {number(candidate)}</b><br>{kind.unit} {cost:.6g}"
    if best and math.isfinite(cost):
        text += f"<br>{wording.percent(cost / best - 1, 2)} above the best"
    return text
