"""One neuron on one sentence: which weights that pruning changed made it answer otherwise.

C columns (inputs), T tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.base import Chart, finish
from kencore.words import numbers as wording
from kencore.words.palette import Palette

if TYPE_CHECKING:
    from kencore.explain import Contributions

TOP: Final = 12


def contribution_table(
    found: Contributions,
    top: NDArray[np.int64],
    dense: NDArray[np.float32],
    pruned: NDArray[np.float32],
    inputs: NDArray[np.float32],
) -> pd.DataFrame:
    """One line per weight: ``column dense pruned input contribution``, the last: by how much it moved the output."""
    return pd.DataFrame(
        {
            "column": top,
            "dense": dense[top],
            "pruned": pruned[top],
            "input": inputs[top],
            "contribution": 0.0 - found.entries[top],
        }
    )


def contributions(table: pd.DataFrame, found: Contributions, palette: Palette) -> Chart:
    """The largest contributions as bars: to the right the output rose, to the left it fell.

    Args:
        table: `contribution_table`.
    """
    values = table["contribution"].to_numpy(np.float32)
    labels = [f"input {column:,}" for column in table["column"]]
    colors = [palette.diverging[-3] if value > 0 else palette.diverging[2] for value in values]
    hover = [
        f"input {line.column:,}<br>weight {line.dense:.4g} → {line.pruned:.4g}<br>"
        f"reads {line.input:.4g}<br>contribution {line.contribution:+.4g}"
        for line in _lines(table)
    ]
    figure = go.Figure(
        go.Bar(
            y=labels,
            x=values,
            orientation="h",
            text=hover,
            textposition="none",
            marker={"color": colors, "line": {"width": 0}},
            hovertemplate="%{text}<extra></extra>",
        )
    )
    finish(figure, height=max(110, 24 * len(table)), x="(pruned − dense weight) × input", y="", left=92)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(zeroline=True)
    shown = float(np.abs(found.entries[table["column"].to_numpy()]).sum())
    whole = float(np.abs(found.entries).sum())
    changed = int(np.count_nonzero(found.entries))
    finding = (
        f"{len(table):,} of {wording.plural(changed, 'changed weight')} {'makes' if len(table) == 1 else 'make'} "
        f"{wording.percent(shown / whole, 0)} of all pulls, those the other way counted too"
        if whole
        else "No changed weight affected this output"
    )
    return Chart(
        figure=figure,
        finding=finding,
        name="contributions",
        data=table,
        alt=f"Bars of what each changed weight contributed. {finding}.",
    )


def parts(found: Contributions, palette: Palette, dense: str = "dense") -> Chart:
    """The way from the dense to the pruned output: changed weights, changed input, bias.

    Args:
        dense: what the run calls the model before pruning.
    """
    names = [f"{dense}<br>output", "changed<br>weights", "changed<br>input", "changed<br>bias", "pruned<br>output"]
    values = [found.dense, -found.weights, -found.inputs, -found.bias, found.pruned]
    if not found.bias:
        del names[3], values[3]
    measure = ["absolute", *["relative"] * (len(names) - 2), "total"]
    figure = go.Figure(
        go.Waterfall(
            x=names,
            y=np.array(values, np.float32),
            measure=measure,
            text=[
                number(value, "+.3g" if kind == "relative" else ".3g")
                for value, kind in zip(values, measure, strict=True)
            ],
            textposition="outside",
            cliponaxis=False,
            textfont={"color": palette.text},
            increasing={"marker": {"color": palette.diverging[-3]}},
            decreasing={"marker": {"color": palette.diverging[2]}},
            totals={"marker": {"color": palette.kept}},
            connector={"line": {"color": palette.muted, "width": 1}},
            hovertemplate="%{x}: %{text}<extra></extra>",
        )
    )
    finish(figure, height=252, x="", y="output before activation", left=72)
    figure.update_xaxes(showgrid=False, tickangle=0)
    figure.update_layout(margin={"b": 44})
    finding = parts_finding(found)
    return Chart(
        figure=figure,
        finding=finding,
        name="neuron-parts",
        data=pd.DataFrame({"part": [n.replace("<br>", " ") for n in names], "value": values}),
        alt=f"Steps from the dense to the pruned output of one neuron. {finding}.",
    )


def parts_finding(found: Contributions) -> str:
    """What moved this neuron, in one sentence."""
    gap = found.dense - found.pruned
    text = f"{number(found.dense)} became {number(found.pruned)}"
    if not gap:
        return f"{number(found.dense)} in both models"
    by = {
        "its own changed weights": found.weights,
        "earlier changes, through its input": found.inputs,
        "its bias": found.bias,
    }
    name = max(by, key=lambda key: by[key] * np.sign(gap))
    if by[name] / gap <= 0.5:  # not most of it: several parts pull, or pull against each other
        return text
    return f"{text}, mostly by {name}"


def number(value: float, form: str = ".3g") -> str:
    """Three digits, with a minus sign that is one; nothing has no sign."""
    return "0" if value == 0 else format(value, form).replace("-", "−")


def _lines(table: pd.DataFrame) -> list[Any]:
    return list(table.itertuples())
