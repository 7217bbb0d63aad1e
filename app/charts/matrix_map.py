"""The kept weights of one matrix as a Plotly picture: what a notebook shows where a page has its viewer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.base import Chart, finish
from kencore.runs.bits import cell_sizes
from kencore.words import numbers as wording
from kencore.words.palette import Palette

_WIDE, _HIGH = 760, 640  # pixels, at most


def kept_map(
    shares: NDArray[np.floating], name: str, shape: tuple[int, int], cell: tuple[int, int], palette: Palette
) -> Chart:
    """Kept share of each cell; rows run down, columns across, at the matrix's own proportions.

    Args:
        shares: `Run.overview`, (rows, columns) of cells.
        name: of the matrix.
        shape: (R, C) of the matrix.
        cell: (h, w), weights of one cell: `Run.overview_cell`.
    """
    height, width = cell
    rows, columns = shares.shape
    # the middle of each cell, in weights; the last one may be cut off
    y = np.arange(rows, dtype=np.int32) * height + (height - 1) / 2
    x = np.arange(columns, dtype=np.int32) * width + (width - 1) / 2
    figure = go.Figure(
        go.Heatmap(
            z=shares.astype(np.float32),
            x=x,
            y=y,
            zmin=0,
            zmax=1 if height * width == 1 else max(float(shares.max(initial=0)), 1e-6),
            colorscale=palette.scale(palette.sequential),
            colorbar={"title": {"text": "kept"}, "tickformat": ".0%", "thickness": 12},
            hovertemplate="row %{y}, column %{x}: %{z:.0%} kept<extra></extra>",
        )
    )
    scale = min(_WIDE / shape[1], _HIGH / shape[0])
    finish(figure, height=max(120, round(scale * shape[0])), x="column (input)", y="row (output)", left=80)
    figure.update_layout(width=max(260, round(scale * shape[1])) + 200)
    figure.update_yaxes(autorange="reversed", showgrid=False, zeroline=False)
    figure.update_xaxes(showgrid=False, zeroline=False)
    mean = float(np.average(shares, weights=cell_sizes(*shape, cell)))
    cells = "" if height * width == 1 else f", in cells of {height} × {width}"
    finding = f"{name}: {wording.percent(mean)} of {shape[0]:,} × {shape[1]:,} weights kept{cells}"
    at = np.indices(shares.shape)
    data = pd.DataFrame({"row": at[0].ravel() * height, "column": at[1].ravel() * width, "kept_share": shares.ravel()})
    return Chart(figure=figure, finding=finding, alt=f"Map of kept weights. {finding}.", data=data, name="kept-map")
