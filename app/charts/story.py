"""Pictures of the story that no other page has: two weights, and what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, fade, finish
from app.charts.neuron import number
from kencore.words import numbers as wording
from kencore.words.palette import Palette

if TYPE_CHECKING:
    from kencore.views.example import Example
    from kencore.views.tables import Totals


def two_weights(told: Example, restore: str, palette: Palette) -> Chart:
    """A kept and a pruned weight: where each was, where tuning moved it, where it is now."""
    terms = wording.TERMS[restore]
    chosen = {"kept": told.kept, terms.gone_long: told.gone}
    table = pd.DataFrame(
        [
            {
                "weight": name,
                "column": column,
                "base": told.base[column],
                terms.dense: told.tuned[column],
                "now": told.now[column],
            }
            for name, column in chosen.items()
            if column is not None
        ]
    )
    if restore == "zero":
        table = table.drop(columns="base")
    labels = [f"{name},<br>column {column:,}" for name, column in zip(table["weight"], table["column"], strict=True)]
    marks: dict[str, dict[str, Any]] = {
        "base": {"symbol": "diamond-open", "size": 14, "color": palette.muted},
        terms.dense: {"symbol": "circle", "size": 13, "color": palette.primary},
        "now": {"symbol": "circle-open", "size": 26, "color": palette.text},
    }
    figure = go.Figure()
    for name, mark in marks.items():
        if name not in table:
            continue
        values = table[name].to_numpy(np.float32)
        figure.add_trace(
            go.Scatter(
                x=values,
                y=labels,
                mode="markers",
                name=name,
                cliponaxis=False,
                marker=mark | {"line": {"width": 2.5, "color": mark["color"]}},
                hovertemplate=f"{name}: %{{x:.5g}}<extra></extra>",
            )
        )
    finish(figure, height=190, x="value of the weight", y="", legend=True, left=120)
    figure.update_yaxes(autorange="reversed", showgrid=True)
    figure.update_xaxes(zeroline=True)
    said = [
        f"{line['weight']}: {number(line[terms.dense])} → {number(line['now'])}" for line in table.to_dict("records")
    ]
    finding = "; ".join(said)
    finding = finding[:1].upper() + finding[1:]
    return Chart(
        figure=figure,
        finding=finding,
        name="two-weights",
        data=table,
        alt=f"Dots of two weights before and after pruning. {finding}.",
    )


def stored(total: Totals, restore: str, palette: Palette) -> Chart:
    """Bytes of all weights, and of what has to be kept of this run."""
    part = "kept values and masks" if restore == "zero" else "kept values and masks, beside a base"
    names = ["whole model", part]
    values = [total.bytes_dense, total.bytes_stored]
    figure = go.Figure(
        go.Bar(
            x=np.array(values, np.float64) / 1e6,
            y=["<br>".join(_wrapped(n)) for n in names],
            orientation="h",
            text=[wording.size(value) for value in values],
            textposition="outside",
            cliponaxis=False,
            textfont={"color": palette.text},
            marker={"color": [fade(palette.reset_mark, 0.6), palette.kept], "line": {"width": 0}},
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    finish(figure, height=150, x="megabytes", y="", left=150)
    figure.update_xaxes(range=[0, 1.2 * max(values) / 1e6])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    finding = (
        f"{wording.size(total.bytes_stored)} instead of {wording.size(total.bytes_dense)}: "
        f"{wording.percent(total.share_bytes, 0)}"
    )
    return Chart(
        figure=figure,
        finding=finding,
        name="stored",
        data=pd.DataFrame({"what": names, "bytes": values}),
        alt=f"Bars of the bytes of the whole model and of what is stored. {finding}.",
    )


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 20)
