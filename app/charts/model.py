"""The whole model in two pictures: what was lost or kept by block and role, and what each role holds."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts import png
from app.charts.base import TURNED, Chart, add_color_scale, fade, finish, ink_on, lines
from kencore.views import damage
from kencore.words import numbers as wording
from kencore.words.findings import map_finding, measures, on_map
from kencore.words.palette import Palette

STRETCHED: Final = "stretched to the range present"
_LABELLED = 24  # rows of cells up to which each cell also says its number


def model_map(
    cells: pd.DataFrame,
    palette: Palette,
    measure: str = "share",
    terms: wording.Terms = wording.TERMS["base"],
    *,
    full: bool = False,
) -> Chart:
    """Blocks by roles, colored by ``measure``; clicking a cell selects its point. What was not pruned has no
    color but a dash.

    Args:
        cells: `summaries.model_cells`.
        measure: a key of `MEASURES`.
        terms: what the run calls its weights.
        full: the colors span 0 to 100 % (what is no share: 0 to the largest), not the range present.
    """
    what = measures(terms)[measure]
    cells, rows, roles = on_map(cells)
    grid = np.full((len(rows), len(roles)), np.nan, np.float32)  # places, roles
    y = np.array([rows.index(place) for place in cells["place"]], np.int32)
    x = np.array([roles.index(role) for role in cells["role"]], np.int32)
    pruned = (cells["pruned"] > 0).to_numpy()
    values = cells[measure].where(pruned).astype(float)
    grid[y, x] = values
    low, high = ends = _ends(cells, measure, shares=what.share, full=full)
    told = slice(None) if len(rows) <= _LABELLED else ~pruned
    height = int(np.clip(34 * len(rows), 120, 34 * 12) if len(rows) <= 12 else 20 * len(rows))
    figure = go.Figure(
        [
            go.Heatmap(
                z=grid,
                colorscale=palette.scale(palette.sequential),
                xgap=2,
                ygap=2,
                zmin=low,
                zmax=high,
                showscale=False,
                hoverinfo="skip",
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
            go.Scatter(
                x=x[told],
                y=y[told],
                mode="text",
                text=np.array(_numbers(values, ends, shares=what.share))[told].tolist(),
                textfont={"color": np.array(_inks(values, ends, palette))[told].tolist(), "size": 10.5},
                hoverinfo="skip",
                name="numbers",
            ),
        ]
    )
    finding = map_finding(cells, measure, terms)
    finish(figure, height=height, x="role", y="", left=96)
    title = f"{what.unit}, {full_range(what.share) if full else STRETCHED}"
    add_color_scale(figure, title, palette.sequential, (low, high), percent=what.share)
    figure.update_layout(
        hovermode="closest", hoverdistance=60, clickmode="event+select", dragmode=False, plot_bgcolor="rgba(0,0,0,0)"
    )
    figure.update_xaxes(
        title={"standoff": TURNED},
        tickmode="array",
        tickvals=list(range(len(roles))),
        ticktext=roles,
        side="bottom",
        automargin=True,  # turned labels keep clear of the title
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


def full_range(share: bool) -> str:
    """What the full range of a measure is called."""
    return "0 to 100 %" if share else "from 0"


def _ends(cells: pd.DataFrame, measure: str, *, shares: bool, full: bool) -> tuple[float, float]:
    """First and last value of the color scale: over matrices alone where there are any, as norms and biases
    are few weights far from all others.
    """
    pruned = cells[cells["pruned"] > 0]
    known = damage.stretched(cells, measure)
    most = float(pruned[measure].max()) if pruned[measure].notna().any() else 0.0
    return damage.span(known, full=(0.0, max(1.0, most) if shares else most or 1.0) if full else None)


def _numbers(values: pd.Series, ends: tuple[float, float], *, shares: bool) -> list[str]:
    """What each cell says; a dash for what was not pruned."""
    digits = min(wording.range_digits(*ends), 1)
    if digits:  # four characters fit into a cell of a narrow page
        said = [f"{100 * value:.1f}" if shares else f"{value:.2g}" for value in values]
    else:
        said = [wording.percent(value, 0) if shares else f"{value:.2g}" for value in values]
    return ["–" if np.isnan(value) else text for value, text in zip(values, said, strict=True)]


def _inks(values: pd.Series, ends: tuple[float, float], palette: Palette) -> list[str]:
    """A color for each number that can be read on its cell."""
    shown = png.shades(palette.sequential)
    at = png.levels(values.to_numpy(float), *ends, steps=len(shown))
    return [palette.muted if np.isnan(value) else ink_on(shown[i]) for value, i in zip(values, at, strict=True)]


def _hovers(cells: pd.DataFrame, terms: wording.Terms) -> list[str]:
    return [
        f"<b>{line.place}, {wording.ROLES_EXPLAINED.get(line.role, line.role)}</b><br>"
        f"{wording.exact(line.kept)} of {wording.exact(line.params)} {terms.done} "
        f"({wording.percent(line.share)})<br>"
        f"{terms.change_lost} {wording.percent(line.diff_lost)}<br>"
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
        f"<b>{name}</b><br>{wording.exact(line.kept)} of {wording.exact(line.params)} {terms.done} "
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
    finding = f"{names[-1].capitalize()}: {wording.percent(top.params / whole, 0)} of all weights, the largest part"
    finish(figure, height=28 * len(table) + 10, x="parameters", y="", legend=True, left=150)
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_yaxes(showgrid=False)
    return Chart(
        figure=figure,
        finding=finding,
        name="roles",
        data=roles,
        alt=f"Bars of {terms.done} and other weights by role. {finding}.",
    )
