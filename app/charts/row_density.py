"""One row's density curve, KEN's grid on it, and the value that each grid point took.

C columns (entries of the row), K grid points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.base import Chart, fade, finish, with_gaps
from app.charts.row import DOTS, add_lane, lanes
from kencore.words import numbers as wording
from kencore.words.palette import Palette

if TYPE_CHECKING:
    from kencore.methods.ken.explained import RowExplanation

_ORDER_GROUPS: Final = 6  # colors for the order in which grid points are visited


def row_density(
    row: NDArray[np.float32],
    keep: NDArray[np.bool_],
    explained: RowExplanation,
    palette: Palette,
    terms: wording.Terms = wording.TERMS["base"],
) -> Chart:
    """The row's density curve, KEN's grid on it, and a line from each grid point to its value.

    Args:
        row: (C,) tuned values.
        keep: (C,) what is kept; equal to ``explained.keep``.
        explained: the row under ``ken`` or ``ken-density``.
    """
    figure = go.Figure()
    _add_curve(figure, explained, palette)
    if len(explained.grid):
        _add_matches(figure, row, explained, palette)
    elif len(explained.entry_density):
        _add_threshold(figure, keep, explained, palette)
    for kept in (True, False):
        add_lane(figure, np.sort(row[keep == kept]), kept, palette)
    finding = _density_finding(keep, explained, terms)
    finish(figure, height=400, x=f"{terms.dense} value", y="", legend=True, left=84)
    names = (terms.gone, "kept", *(("grid",) if len(explained.grid) else ()))
    figure.update_layout(
        yaxis={"domain": [0.40, 1], "title": {"text": "density"}, "rangemode": "tozero"},
        yaxis2={"domain": [0, 0.36], **lanes(*names)},
    )
    figure.update_xaxes(zeroline=False, anchor="y2")
    return Chart(
        figure=figure,
        finding=finding,
        name="row-density",
        alt=f"Density curve of one row with {len(row)} weights. {finding}.",
        data=_density_data(row, keep, explained),
    )


def _density_data(row: NDArray[np.float32], keep: NDArray[np.bool_], explained: RowExplanation) -> pd.DataFrame:
    if len(explained.grid):
        return grid_table(row, explained)
    table = pd.DataFrame({"entry": np.arange(len(row)), "value": row, "kept": keep})
    return table.assign(density=explained.entry_density) if len(explained.entry_density) else table


def grid_table(row: NDArray[np.float32], explained: RowExplanation) -> pd.DataFrame:
    """Grid points in the order they are visited, and the entry that each one took."""
    order = np.asarray(explained.order)
    taken = np.asarray(explained.taken)[order]
    return pd.DataFrame(
        {
            "visit": np.arange(1, len(order) + 1),
            "grid_point": np.asarray(explained.grid)[order],
            "density": np.asarray(explained.grid_density)[order],
            "level": np.asarray(explained.level)[order],
            "entry": taken,
            "value": row[taken],
        }
    )


def _add_curve(figure: go.Figure, explained: RowExplanation, palette: Palette) -> None:
    figure.add_trace(
        go.Scatter(
            x=np.asarray(explained.curve_x, np.float32),
            y=np.asarray(explained.curve_y, np.float32),
            mode="lines",
            line={"color": palette.primary, "width": 2},
            fill="tozeroy",
            fillcolor=fade(palette.primary, 0.10),
            name="density curve",
            hovertemplate="value %{x:.5g}<br>density %{y:.4g}<extra></extra>",
        )
    )


def _add_matches(figure: go.Figure, row: NDArray[np.float32], explained: RowExplanation, palette: Palette) -> None:
    """Grid points on the curve and their lines to the values, in groups by visiting order."""
    order = np.asarray(explained.order)  # k, visit -> grid point
    grid = np.asarray(explained.grid, np.float32)
    density = np.asarray(explained.grid_density, np.float32)
    level, taken = np.asarray(explained.level), np.asarray(explained.taken)
    groups = np.array_split(np.arange(len(order)), min(_ORDER_GROUPS, len(order)))
    colors = palette.sequential[-1:2:-1]
    for i, visits in enumerate(groups):
        points = order[visits]
        color = colors[min(i, len(colors) - 1)]
        first, last = int(visits[0]) + 1, int(visits[-1]) + 1
        name = f"visited {first:,}" if first == last else f"visited {first:,} to {last:,}"
        picked = row[taken[points]]
        about = np.stack([visits + 1, level[points], taken[points], picked], axis=1)  # points, 4
        _add_grid_points(figure, grid[points], density[points], about, name, color)
        figure.add_trace(
            go.Scatter(
                x=with_gaps(grid[points], picked),
                mode="lines",
                yaxis="y2",
                legendgroup=name,
                y=with_gaps(np.full(len(points), 2.0), np.full(len(points), 1.3)),
                line={"color": color, "width": 1},
                hoverinfo="skip",
                showlegend=False,
            )
        )


def _add_grid_points(
    figure: go.Figure, x: NDArray[np.float32], y: NDArray[np.float32], about: NDArray[np.float64], name: str, color: str
) -> None:
    """Some grid points on the curve: diamonds, or stems where there are very many of them."""
    few = len(x) * _ORDER_GROUPS <= DOTS
    place: dict[str, Any] = {"x": x, "y": y, "mode": "markers"}
    if not few:
        place = {"x": with_gaps(x, x), "y": with_gaps(np.zeros(len(y)), y), "mode": "lines"}
        about = about.repeat(3, axis=0)  # each stem is two ends and a gap
    figure.add_trace(
        go.Scatter(
            **place,
            name=name,
            legendgroup=name,
            customdata=about.astype(np.float32),
            marker={"color": color, "size": 6, "symbol": "diamond"},
            line={"color": color, "width": 1},
            hovertemplate=(
                "grid point %{x:.5g}<br>visited number %{customdata[0]:,.0f}, density level "
                "%{customdata[1]:,.0f}<br>took weight %{customdata[2]:,.0f}, value "
                "%{customdata[3]:.5g}<extra></extra>"
            ),
        )
    )


def _add_threshold(figure: go.Figure, keep: NDArray[np.bool_], explained: RowExplanation, palette: Palette) -> None:
    """The lowest density that was kept, as a level line."""
    lowest = float(explained.entry_density[keep].min())
    ends = [explained.curve_x[0], explained.curve_x[-1]] if len(explained.curve_x) else [0.0, 0.0]
    figure.add_trace(
        go.Scatter(
            x=ends,
            y=[lowest, lowest],
            mode="lines",
            name="lowest density kept",
            line={"color": palette.text, "width": 1.5, "dash": "dash"},
            hovertemplate="lowest density kept %{y:.4g}<extra></extra>",
        )
    )


def _density_finding(keep: NDArray[np.bool_], explained: RowExplanation, terms: wording.Terms) -> str:
    if explained.bandwidth == 0:
        return "No density curve: all values of this row are equal, so the first ones are kept"
    if not len(explained.grid):
        kept = int(np.count_nonzero(keep))
        gone = "reset" if terms.gone == "reset" else terms.gone_long
        return f"The {kept:,} weights of highest density are kept; the tails are {gone}"
    grid = explained.grid.astype(np.float64)
    gap = float(np.diff(grid).mean()) if len(grid) > 1 else 0.0
    return f"{len(grid):,} grid points {gap:.2g} apart; each took the nearest free value"
