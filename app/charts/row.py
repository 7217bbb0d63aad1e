"""One row of a matrix: its values, its density curve with KEN's grid, and where it was kept.

C columns (entries of the row), k kept entries.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app import wording
from app.charts.base import Chart, fade, finish, with_gaps
from app.theme import Palette

_DOTS: Final = 1100  # entries up to which each one also gets a marker
_ORDER_GROUPS: Final = 6  # colors for the order in which grid points are visited


def row_values(
    row: NDArray[np.float32],
    keep: NDArray[np.bool_],
    palette: Palette,
    *,
    by_value: bool,
    base: NDArray[np.float32] | None = None,
) -> Chart:
    """Every entry of a row as a stem from zero; kept ones solid, reset ones dotted and open."""
    order = np.argsort(row, kind="stable") if by_value else np.arange(len(row))
    place = np.empty(len(row), np.int32)
    place[order] = np.arange(len(row), dtype=np.int32)  # entry -> where it is drawn
    figure = go.Figure()
    for kept, color, dash, symbol in (
        (False, palette.reset_mark, "dot", "circle-open"),
        (True, palette.kept, "solid", "circle"),
    ):
        chosen = np.flatnonzero(keep == kept).astype(np.int32)
        x, y = place[chosen], row[chosen]
        label = "kept (tuned value)" if kept else "reset (base value)"
        figure.add_trace(
            go.Scatter(
                x=with_gaps(x, x), y=with_gaps(np.zeros(len(y)), y), mode="lines", name=label,
                line={"color": color, "width": 1.2 if kept else 1, "dash": dash},
                hoverinfo="skip", showlegend=len(row) > _DOTS, legendgroup=label,
            )
        )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=x, y=y, mode="markers", name=label, legendgroup=label,
                showlegend=len(row) <= _DOTS, customdata=chosen,
                marker={"color": color, "symbol": symbol, "size": 5,
                        "line": {"width": 1, "color": color}},
                hovertemplate=(
                    "entry %{customdata:,}<br>tuned value %{y:.5g}"
                    f"<extra>{'kept' if kept else 'reset'}</extra>"
                ),
            )
            if len(row) <= _DOTS
            else _hover_points(x, y, chosen, kept)
        )  # fmt: skip
    finding = _values_finding(row, keep)
    finish(
        figure, height=300, y="tuned value", legend=True,
        x="rank of the entry by value" if by_value else "index of the entry in the row",
    )  # fmt: skip
    figure.update_xaxes(showgrid=False, zeroline=False, range=[-0.01 * len(row), 1.01 * len(row)])
    figure.update_yaxes(zeroline=True)
    data = pd.DataFrame({"entry": np.arange(len(row)), "tuned": row, "kept": keep, "place": place})
    if base is not None:
        data.insert(2, "base", base)
    return Chart(
        figure=figure, finding=finding, name="row-values", data=data,
        alt=f"Values of one row with {len(row)} entries, kept and reset. {finding}.",
    )  # fmt: skip


def _hover_points(
    x: NDArray[np.int32], y: NDArray[np.float32], entries: NDArray[np.int32], kept: bool
) -> go.Scattergl:
    """Points that only answer the pointer: thousands of them need WebGL."""
    return go.Scattergl(
        x=x, y=y, mode="markers", showlegend=False, customdata=entries,
        marker={"size": 4, "opacity": 0.01},
        hovertemplate=(
            "entry %{customdata:,}<br>tuned value %{y:.5g}"
            f"<extra>{'kept' if kept else 'reset'}</extra>"
        ),
    )  # fmt: skip


def _values_finding(row: NDArray[np.float32], keep: NDArray[np.bool_]) -> str:
    kept = int(np.count_nonzero(keep))
    return (
        f"{kept:,} of {len(row):,} entries keep their tuned value "
        f"({wording.short_percent(kept / max(1, len(row)))})"
    )


def row_density(
    row: NDArray[np.float32], keep: NDArray[np.bool_], explained: Any, palette: Palette,
    *, chosen_by_ken: bool = True,
) -> Chart:  # fmt: skip
    """The row's density curve, KEN's grid on it, and a line from each grid point to its value.

    Args:
        row: (C,) tuned values.
        keep: (C,) what is kept; equal to ``explained.keep`` when ``chosen_by_ken``.
        explained: `RowExplanation` of the row.
        chosen_by_ken: False shows the grid as context for a row that another rule chose.
    """
    figure = go.Figure()
    _add_curve(figure, explained, palette)
    if chosen_by_ken:
        _add_matches(figure, row, explained, palette)
    _add_value_marks(figure, row, keep, palette)
    finding = _density_finding(row, keep, explained, chosen_by_ken)
    finish(figure, height=400, x="tuned value", y="", legend=True, left=84)
    figure.update_layout(
        yaxis={"domain": [0.44, 1], "title": {"text": "density"}, "rangemode": "tozero"},
        yaxis2={
            "domain": [0, 0.38], "range": [-0.45, 2.35], "tickmode": "array", "tickvals": [0, 1, 2],
            "ticktext": ["reset", "kept", "grid"] if chosen_by_ken else ["reset", "kept", ""],
            "showgrid": False, "zeroline": False, "fixedrange": True,
        },
    )  # fmt: skip
    figure.update_xaxes(zeroline=False)
    return Chart(
        figure=figure, finding=finding, name="row-density",
        alt=f"Density curve of one row with {len(explained.grid)} grid points. {finding}.",
        data=grid_table(row, explained),
    )  # fmt: skip


def grid_table(row: NDArray[np.float32], explained: Any) -> pd.DataFrame:
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


def _add_curve(figure: go.Figure, explained: Any, palette: Palette) -> None:
    figure.add_trace(
        go.Scatter(
            x=np.asarray(explained.curve_x, np.float32),
            y=np.asarray(explained.curve_y, np.float32),
            mode="lines", line={"color": palette.primary, "width": 2}, fill="tozeroy",
            fillcolor=fade(palette.primary, 0.10), name="density curve",
            hovertemplate="value %{x:.5g}<br>density %{y:.4g}<extra></extra>",
        )
    )  # fmt: skip


def _add_matches(
    figure: go.Figure, row: NDArray[np.float32], explained: Any, palette: Palette
) -> None:
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
        figure.add_trace(
            go.Scatter(
                x=grid[points], y=density[points], mode="markers", name=name, legendgroup=name,
                marker={"color": color, "size": 6 if len(order) <= 400 else 4, "symbol": "diamond"},
                customdata=np.stack(
                    [visits + 1, level[points], taken[points], picked], axis=1
                ).astype(np.float32),
                hovertemplate=(
                    "grid point %{x:.5g}<br>visited number %{customdata[0]:,.0f}, density level "
                    "%{customdata[1]:,.0f}<br>took entry %{customdata[2]:,.0f}, value "
                    "%{customdata[3]:.5g}<extra></extra>"
                ),
            )
        )  # fmt: skip
        figure.add_trace(
            go.Scatter(
                x=with_gaps(grid[points], picked), mode="lines", yaxis="y2", legendgroup=name,
                y=with_gaps(np.full(len(points), 2.0), np.ones(len(points))),
                line={"color": color, "width": 1}, hoverinfo="skip", showlegend=False,
            )
        )  # fmt: skip


def _add_value_marks(
    figure: go.Figure, row: NDArray[np.float32], keep: NDArray[np.bool_], palette: Palette
) -> None:
    """Each value as a tick: kept ones on one line and solid, reset ones below and dotted."""
    for kept, color, level in ((True, palette.kept, 1.0), (False, palette.reset_mark, 0.0)):
        values = np.sort(row[keep == kept])
        half = 0.16
        figure.add_trace(
            go.Scatter(
                x=with_gaps(values, values), yaxis="y2", mode="lines",
                y=with_gaps(np.full(len(values), level - half), np.full(len(values), level + half)),
                line={"color": color, "width": 1.2, "dash": "solid" if kept else "dot"},
                name="kept value" if kept else "reset value", hoverinfo="x",
            )
        )  # fmt: skip


def _density_finding(
    row: NDArray[np.float32], keep: NDArray[np.bool_], explained: Any, by_ken: bool
) -> str:
    if not by_ken:
        return "The density curve of the row, with what this run's rule kept below it"
    grid = np.asarray(explained.grid, np.float64)
    gap = float(np.diff(grid).mean()) if len(grid) > 1 else 0.0
    return f"{len(explained.grid):,} grid points, {gap:.2g} apart, each took the nearest free value"


def distance_bars(deciles: pd.DataFrame, share: float, palette: Palette) -> Chart:
    """Kept share by distance from the row's middle, against the same budget at random.

    Args:
        deciles: `summaries.distance_deciles`.
        share: kept share of the whole row, which is what a random choice keeps everywhere.
    """
    hover = [
        f"tenth {line.decile}: |value - median| {line.near:.3g} to {line.far:.3g}<br>"
        f"{line.kept:,} of {line.entries:,} kept ({wording.percent(line.share)})"
        for line in deciles.itertuples()
    ]
    figure = go.Figure(
        go.Bar(
            x=deciles["decile"].to_numpy(np.int32), y=deciles["share"].to_numpy(np.float32),
            marker={"color": palette.kept}, text=hover, textposition="none", name="this row",
            hovertemplate="%{text}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_trace(
        go.Scatter(
            x=[0.45, len(deciles) + 0.55], y=[share, share], mode="lines",
            line={"color": palette.text, "width": 1.5, "dash": "dash"},
            name="same budget at random", hovertemplate="random keeps %{y:.1%}<extra></extra>",
        )
    )  # fmt: skip
    near, far = float(deciles["share"].iloc[0]), float(deciles["share"].iloc[-1])
    finding = (
        f"Kept share goes from {wording.percent(near, 0)} near the middle to "
        f"{wording.percent(far, 0)} in the tails"
    )
    finish(
        figure, height=260, legend=True, y="kept share",
        x="tenth of the entries by |value - median|, nearest first",
    )  # fmt: skip
    figure.update_yaxes(range=[0, 1.04], tickformat=".0%")
    figure.update_xaxes(dtick=1, showgrid=False, range=[0.4, len(deciles) + 0.6])
    figure.update_layout(bargap=0.25)
    return Chart(
        figure=figure, finding=finding, name="row-deciles", data=deciles,
        alt=f"Bars of kept share by distance from the median. {finding}.",
    )  # fmt: skip
