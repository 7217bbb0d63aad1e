"""One row by the scores that decided it: how sharp the cut is, and what lies on either side.

C columns (entries of the row).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.base import Chart, fade, finish
from app.charts.row import add_lane, lanes
from kencore.words import numbers as wording
from kencore.words.palette import Palette


def row_scores(
    score: NDArray[np.float32], keep: NDArray[np.bool_], what: str, palette: Palette, terms: wording.Terms
) -> Chart:
    """Scores in falling order, the lowest kept one as a level, and a lane each for kept and not.

    Args:
        score: (C,) what the rule ranked by.
        keep: (C,) what is kept.
        what: name of the score.
        terms: what the run calls its weights.
    """
    order = np.argsort(-score, kind="stable")  # C
    place = np.arange(len(score), dtype=np.int32)
    falling, kept = score[order].astype(np.float32), keep[order]
    figure = go.Figure(
        go.Scatter(
            x=place,
            y=falling,
            mode="lines",
            name=what,
            fill="tozeroy",
            fillcolor=fade(palette.primary, 0.10),
            line={"color": palette.primary, "width": 2},
            customdata=np.stack([order.astype(np.float32), kept.astype(np.float32)], axis=1),
            hovertemplate="rank %{x:,.0f}, weight %{customdata[0]:,.0f}<br>score %{y:.4g}<extra></extra>",
        )
    )
    if kept.any():
        cut = float(falling[kept].min())
        figure.add_trace(
            go.Scatter(
                x=[0, len(score) - 1],
                y=[cut, cut],
                mode="lines",
                name="lowest score kept",
                line={"color": palette.text, "width": 1.5, "dash": "dash"},
                hovertemplate="lowest score kept %{y:.4g}<extra></extra>",
            )
        )
    for side in (True, False):
        add_lane(figure, place[kept == side], side, palette)
    finding = _finding(kept, what)
    finish(figure, height=320, x="rank of the weight by score", y="", legend=True, left=84)
    figure.update_layout(
        yaxis={"domain": [0.30, 1], "title": {"text": what}, "rangemode": "tozero"},
        yaxis2={"domain": [0, 0.24], **lanes(terms.gone, "kept")},
    )
    figure.update_xaxes(zeroline=False, showgrid=False, anchor="y2")
    return Chart(
        figure=figure,
        finding=finding,
        name="row-scores",
        data=pd.DataFrame({"rank": place, "entry": order, "score": falling, "kept": kept}),
        alt=f"Falling curve of {what} over the weights of a row, kept and not. {finding}.",
    )


def _finding(kept: NDArray[np.bool_], what: str) -> str:
    number = int(kept.sum())
    inside = int(kept[:number].sum())
    if inside == number:
        return f"The {number:,} weights of largest {what} are kept"
    return f"{inside:,} of the {number:,} kept weights are among the {number:,} of largest {what}"
