"""Inputs of one matrix in the dense and in the pruned model: how strong each feature is."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.base import Chart, finish
from kencore.views.sparsity import Alignment
from kencore.words import numbers as wording
from kencore.words.palette import Palette

_SPLIT: Final = (0.40, 0.30)  # where the upper panel starts and the lower one ends


def norm_curves(found: Alignment, color: str, palette: Palette) -> Chart:
    """Above, each feature's share of the input norm, dense and pruned; below, the difference.

    Args:
        found: features in the order of their dense norm.
        color: of the run.
    """
    place = np.arange(len(found.order), dtype=np.int32)
    about = found.order.astype(np.float32)[:, None]  # C, 1
    figure = go.Figure()
    for values, name, style in (
        (found.sparse, "pruned model", {"color": color, "width": 1.8}),
        (found.dense, "dense model", {"color": palette.text, "width": 2}),
    ):
        figure.add_trace(
            go.Scatter(
                x=place,
                y=values.astype(np.float32),
                mode="lines",
                name=name,
                line=style,
                customdata=about,
                legendrank=1000 if name == "pruned model" else 900,
                hovertemplate=f"{name}<br>feature %{{customdata[0]:,.0f}}: %{{y:.3%}} of the norm<extra></extra>",
            )
        )
    _differences(figure, place, found.sparse - found.dense, about, palette)
    finish(figure, height=400, legend=True, y="", left=84, x="inputs, strongest dense ones first")
    figure.update_layout(
        yaxis={
            "domain": [_SPLIT[0], 1],
            "title": {"text": "share of input norm"},
            "rangemode": "tozero",
            "tickformat": ".2~%",
        },
        yaxis2={"domain": [0, _SPLIT[1]], "title": {"text": "pruned − dense"}, "tickformat": "+.2~%", "zeroline": True},
    )
    figure.update_xaxes(anchor="y2", showgrid=False, zeroline=False)
    finding = _finding(found)
    return Chart(
        figure=figure,
        finding=finding,
        name="alignment",
        data=_table(found),
        alt="Two curves of input norms over the features, dense and pruned model, with their "
        f"difference below. {finding}.",
    )


def _differences(
    figure: go.Figure,
    place: NDArray[np.int32],
    difference: NDArray[np.float64],
    about: NDArray[np.float32],
    palette: Palette,
) -> None:
    """Gains and losses as two areas; the color says the sign, as in every diverging map."""
    for name, part, color in (
        ("stronger when pruned", np.maximum(difference, 0), palette.diverging[-3]),
        ("weaker when pruned", np.minimum(difference, 0), palette.diverging[2]),
    ):
        figure.add_trace(
            go.Scatter(
                x=place,
                y=part.astype(np.float32),
                yaxis="y2",
                mode="lines",
                fill="tozeroy",
                name=name,
                line={"color": color, "width": 0.8, "shape": "hvh"},
                customdata=about,
                hovertemplate="feature %{customdata[0]:,.0f}: %{y:+.3%}<extra></extra>",
            )
        )


def _table(found: Alignment) -> pd.DataFrame:
    return pd.DataFrame(
        {"feature": found.order, "dense": found.dense, "pruned": found.sparse, "difference": found.sparse - found.dense}
    )


def _finding(found: Alignment) -> str:
    if found.moved == 0:
        return "Inputs unchanged: nothing before this matrix was pruned"
    if found.moved < 5e-5:
        return "Pruning leaves the pattern of these inputs unchanged"
    return f"Pruning moved {wording.percent(found.moved)} of the input norm to other features"
