"""The whole model in two pictures: kept share by block and role, and what each role holds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts.base import Chart, add_color_scale, fade, finish, lines
from kencore.words import numbers as wording
from kencore.words.findings import map_finding, measures, on_map
from kencore.words.palette import Palette

_LABELLED = 24  # rows of cells up to which each cell also says its number


def model_map(
    cells: pd.DataFrame, palette: Palette, measure: str = "share", terms: wording.Terms = wording.TERMS["base"]
) -> Chart:
    """Blocks by roles, colored by ``measure``; clicking a cell selects its point.

    Args:
        cells: `summaries.model_cells`.
        measure: a key of `MEASURES`.
        terms: what the run calls its weights.
    """
    what = measures(terms)[measure]
    cells, rows, roles = on_map(cells)
    grid = np.full((len(rows), len(roles)), np.nan, np.float32)  # places, roles
    y = np.array([rows.index(place) for place in cells["place"]], np.int32)
    x = np.array([roles.index(role) for role in cells["role"]], np.int32)
    grid[y, x] = cells[measure]
    shares = measure != "diff_rms"
    ticks = _ticks(grid, shares)
    height = int(np.clip(34 * len(rows), 120, 34 * 12) if len(rows) <= 12 else 20 * len(rows))
    figure = go.Figure(
        [
            go.Heatmap(
                z=grid,
                colorscale=palette.scale(palette.sequential),
                xgap=2,
                ygap=2,
                zmin=0,
                zmax=ticks[-1],
                showscale=False,
                hoverinfo="skip",
                text=_cell_text(grid, shares) if len(rows) <= _LABELLED else None,
                texttemplate="%{text}" if len(rows) <= _LABELLED else None,
            ),
            # a heatmap's cells cannot be clicked from Python: points that cannot be seen can
            go.Scatter(
                x=x,
                y=y,
                mode="markers",
                name="",
                text=_hovers(cells, terms),
                marker={"size": 26, "symbol": "square", "opacity": 0},
                selected={"marker": {"opacity": 0}},
                unselected={"marker": {"opacity": 0}},
                hovertemplate="%{text}<extra></extra>",
            ),
        ]
    )
    finding = map_finding(cells, measure, terms)
    finish(figure, height=height, x="role", y="", left=96)
    add_color_scale(figure, what.unit, palette.sequential, ticks, percent=shares)
    figure.update_layout(
        hovermode="closest", hoverdistance=60, clickmode="event+select", dragmode=False, plot_bgcolor="rgba(0,0,0,0)"
    )
    figure.update_xaxes(
        tickmode="array",
        tickvals=list(range(len(roles))),
        ticktext=roles,
        side="bottom",
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        range=[-0.5, len(roles) - 0.5],
    )
    every = max(1, len(rows) // 40)
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(0, len(rows), every)),
        ticktext=rows[::every],
        range=[len(rows) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    return Chart(
        figure=figure,
        finding=finding,
        name=f"model-{measure}",
        alt=f"Map of blocks by roles, {what.label.lower()} in each cell. {finding}.",
        data=cells.drop(columns="place"),
    )


def _ticks(grid: NDArray[np.float32], shares: bool) -> tuple[float, ...]:
    """Ends and middle of the color scale: all shares for a share, else up to the largest value."""
    high = 1.0 if shares or np.isnan(grid).all() else float(np.nanmax(grid)) or 1.0
    return 0.0, high / 2, high


def _cell_text(grid: NDArray[np.float32], shares: bool) -> list[list[str]]:
    def text(value: float) -> str:
        if np.isnan(value):
            return ""
        return f"{100 * value:.0f} %" if shares else f"{value:.2g}"

    return [[text(value) for value in line] for line in grid]


def _hovers(cells: pd.DataFrame, terms: wording.Terms) -> list[str]:
    return [
        f"<b>{line.place}, {wording.ROLES_EXPLAINED.get(line.role, line.role)}</b><br>"
        f"{wording.exact(line.kept)} of {wording.exact(line.params)} kept "
        f"({wording.percent(line.share)})<br>"
        f"{terms.change_kept} {wording.percent(line.diff_share_kept)}<br>"
        f"{wording.plural(line.matrices, 'parameter')}"
        f"{'' if line.pruned else ', not pruned'}<br><i>click to open {line.name}</i>"
        for line in lines(cells)
    ]


def role_bars(roles: pd.DataFrame, palette: Palette, terms: wording.Terms = wording.TERMS["base"]) -> Chart:
    """Entries of each role, kept (solid) and not kept (hatched).

    Args:
        roles: `summaries.by_role`.
    """
    table = roles.sort_values("params", kind="stable")
    names = [wording.ROLES_EXPLAINED.get(role, role) for role in table["role"]]
    reset = (table["params"] - table["kept"]).to_numpy(np.float32)
    hover = [
        f"<b>{name}</b><br>{wording.exact(line.kept)} of {wording.exact(line.params)} kept "
        f"({wording.percent(line.share)})"
        for name, line in zip(names, lines(table), strict=True)
    ]
    common = {
        "y": names,
        "orientation": "h",
        "text": hover,
        "textposition": "none",
        "hovertemplate": "%{text}<extra></extra>",
    }
    figure = go.Figure(
        [
            go.Bar(
                x=table["kept"].to_numpy(np.float32),
                name=terms.kept,
                marker={"color": palette.kept, "line": {"width": 0}},
                **common,
            ),
            go.Bar(
                x=reset,
                name=terms.gone_value,
                marker={
                    "color": fade(palette.reset_mark, 0.35),
                    "line": {"width": 0},
                    "pattern": {"shape": "/", "size": 6, "solidity": 0.25, "fgcolor": palette.reset_mark},
                },
                **common,
            ),
        ]
    )
    top = table.iloc[-1]
    whole = int(table["params"].sum())
    finding = f"{names[-1].capitalize()}: {wording.percent(top.params / whole, 0)} of all parameters, the largest part"
    finish(figure, height=28 * len(table) + 10, x="parameters", y="", legend=True, left=150)
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_yaxes(showgrid=False)
    return Chart(
        figure=figure,
        finding=finding,
        name="roles",
        data=roles,
        alt=f"Bars of kept and other parameters by role. {finding}.",
    )
