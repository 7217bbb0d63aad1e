"""Runs laid side by side: who keeps what, and how far their choices agree.

# N runs, R rows of a matrix
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import TURNED, Chart, add_color_scale, fade, finish, lines
from kencore.words import numbers as wording
from kencore.words.compare import KEEP, LETTERS, Verb
from kencore.words.extremes import End, ends
from kencore.words.palette import Palette

OUTSIDE: Final = "outside blocks"
WHO: Final = {"both": "both", "only_a": "only A", "only_b": "only B", "neither": "neither"}
_LABELLED: Final = 24  # rows of cells up to which each cell also says its number
_MANY: Final = 1500  # rows of a matrix from which on a line is drawn instead of points
_EVEN: Final = 0.005  # indices that differ less are the same to everybody
_FLAT: Final = 0.25  # a span of indices below which the colors are spread over it


def place(block: float | None, stack: str, several: bool) -> str:
    """What a line of a table with ``block`` and ``stack`` is called."""
    if block is None or pd.isna(block):
        return OUTSIDE
    return wording.block_label(int(block), stack, several)


def share_bars(table: pd.DataFrame, names: Sequence[str], what: str, palette: Palette, verb: Verb = KEEP) -> Chart:
    """The four shares of each line of a table as one bar of full length.

    Args:
        table: `kencore.views.compare.masks.grouped`.
        names: what each line is called.
        what: ``role`` or ``block``.
        verb: what runs do with weights.
    """
    said = {who: f"{label} {verb[who != 'both']}" for who, label in WHO.items()}
    colors = {
        "both": palette.kept,
        "only_a": palette.only_a,
        "only_b": palette.only_b,
        "neither": fade(palette.reset_mark, 0.35),
    }
    marks = {"both": "", "only_a": "|", "only_b": "-", "neither": "/"}
    figure = go.Figure()
    for who, label in said.items():
        share = (table[who] / table["params"]).to_numpy(np.float32)
        ink = palette.reset_mark if who == "neither" else palette.background
        figure.add_trace(
            go.Bar(
                x=share,
                y=list(names),
                orientation="h",
                name=label,
                text=[
                    _bar_hover(name, label, int(getattr(line, who)), line)
                    for name, line in zip(names, lines(table), strict=True)
                ],
                textposition="none",
                hovertemplate="%{text}<extra></extra>",
                marker={
                    "color": colors[who],
                    "line": {"width": 0},
                    "pattern": {
                        "shape": marks[who],
                        "size": 6,
                        "solidity": 0.2,
                        "fgcolor": ink,
                        "bgcolor": colors[who],
                    },
                },
            )
        )
    many = len(table) > _LABELLED
    finish(figure, height=(16 if many else 27) * len(table) + 10, x="share of weights", y="", legend=True, left=150)
    figure.update_layout(barmode="stack", bargap=0.1 if many else 0.3)
    figure.update_xaxes(range=[0, 1], tickvals=[0, 0.5, 1], tickformat=".0%", showgrid=False)
    figure.update_yaxes(showgrid=False, autorange="reversed")
    finding = _bars_finding(table, names, what)
    return Chart(
        figure=figure,
        finding=finding,
        name=f"overlap-{what}s",
        data=table,
        alt=f"Bars by {what}: the share of weights that both, only one or neither {verb[1]}. {finding}.",
    )


def _bar_hover(name: str, said: str, value: int, line: Any) -> str:
    return (
        f"<b>{name}</b><br>{said} {wording.exact(value)} of {wording.exact(line.params)} "
        f"({wording.percent(value / line.params)})<br>overlap {wording.percent(line.jaccard)}, by "
        f"chance {wording.percent(line.chance)}"
    )


def _bars_finding(table: pd.DataFrame, names: Sequence[str], what: str) -> str:
    apart = ((table["only_a"] + table["only_b"]) / table["params"]).tolist()
    found = ends(apart, [_in(name) for name in names], lambda share: wording.percent(share, 0))
    if found is None:
        return f"The two runs differ on {wording.percent(apart[0], 0)} of the weights in every {what}"
    low, high = (f"{end.value} of the weights {_where(end, what)}" for end in found)
    return f"The two runs differ on {low}, {high.replace(' of the weights', '')}"


def _where(end: End, what: str) -> str:
    """``in block 3``, ``outside blocks and in block 3``, ``in 4 blocks``."""
    named = end.where(f"{what}s")
    return named if len(end.places) < 3 else f"in {named}"


def _in(name: str) -> str:
    return name if name == OUTSIDE else f"in {name}"


def jaccard_map(cells: pd.DataFrame, palette: Palette) -> Chart:
    """Overlap (Jaccard index) of two runs by block and role; a click selects a cell's point.

    Args:
        cells: `kencore.views.compare.masks.grouped` by stack, block and role.
    """
    several = len(set(cells.loc[cells["block"].notna(), "stack"])) > 1
    cells = cells.assign(place=[place(line.block, line.stack, several) for line in lines(cells)])
    rows = list(dict.fromkeys(cells["place"]))
    order = list(wording.ROLES)
    roles = sorted(set(cells["role"]), key=lambda role: order.index(role) if role in order else 99)
    y = np.array([rows.index(name) for name in cells["place"]], np.int32)
    x = np.array([roles.index(role) for role in cells["role"]], np.int32)
    grid = np.full((len(rows), len(roles)), np.nan, np.float32)  # places, roles
    grid[y, x] = cells["jaccard"]
    ticks = _ticks(cells["jaccard"])
    said = len(rows) <= _LABELLED
    figure = go.Figure(
        [
            go.Heatmap(
                z=grid,
                colorscale=palette.scale(palette.sequential),
                xgap=2,
                ygap=2,
                zmin=ticks[0],
                zmax=ticks[-1],
                showscale=False,
                hoverinfo="skip",
                text=_percents(grid) if said else None,
                texttemplate="%{text}" if said else None,
            ),
            # a heatmap's cells cannot be clicked from Python: points that cannot be seen can
            go.Scatter(
                x=x,
                y=y,
                mode="markers",
                name="",
                text=[_cell_hover(line) for line in lines(cells)],
                marker={"size": 26, "symbol": "square", "opacity": 0},
                selected={"marker": {"opacity": 0}},
                unselected={"marker": {"opacity": 0}},
                hovertemplate="%{text}<extra></extra>",
            ),
        ]
    )
    height = int(np.clip(34 * len(rows), 120, 408) if len(rows) <= 12 else 20 * len(rows))
    finish(figure, height=height, x="role", y="", left=96)
    add_color_scale(figure, "overlap", palette.sequential, ticks, percent=True)
    figure.update_layout(
        hovermode="closest", hoverdistance=60, clickmode="event+select", dragmode=False, plot_bgcolor="rgba(0,0,0,0)"
    )
    _categories(figure, roles, rows)
    finding = _map_finding(cells)
    return Chart(
        figure=figure,
        finding=finding,
        name="overlap-map",
        data=cells.drop(columns="place"),
        alt=f"Map of blocks by roles: overlap of the two runs in each cell. {finding}.",
    )


def _categories(figure: go.Figure, across: Sequence[str], down: Sequence[str]) -> None:
    figure.update_xaxes(
        title={"standoff": TURNED},
        tickmode="array",
        tickvals=list(range(len(across))),
        ticktext=list(across),
        side="bottom",
        automargin=True,  # turned labels keep clear of the title
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        range=[-0.5, len(across) - 0.5],
    )
    every = max(1, len(down) // 40)
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(0, len(down), every)),
        ticktext=list(down)[::every],
        range=[len(down) - 0.5, -0.5],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )


def _ticks(values: pd.Series[float]) -> tuple[float, float]:
    """Ends of the color scale: 0 and 100 %, or what the values span in steps of 5 %."""
    known = values.dropna()
    low, high = (0.0, 1.0) if known.empty else (float(known.min()), float(known.max()))
    if known.empty or high - low > _FLAT:
        return 0.0, 1.0
    low, high = np.floor(low * 20) / 20, np.ceil(high * 20) / 20
    high = max(high, low + 0.05)
    return float(low), float(high)


def _percents(grid: np.ndarray) -> list[list[str]]:
    return [["" if np.isnan(v) else f"{100 * v:.0f} %" for v in line] for line in grid]


def _cell_hover(line: Any) -> str:
    return (
        f"<b>{line.place}, {wording.ROLES_EXPLAINED.get(line.role, line.role)}</b><br>"
        f"overlap {wording.percent(line.jaccard)}, by chance {wording.percent(line.chance)}<br>"
        f"both keep {wording.exact(line.both)}, only A {wording.exact(line.only_a)}, only B "
        f"{wording.exact(line.only_b)}<br>{wording.plural(line.matrices, 'parameter')}<br>"
        f"<i>click to open {line.name}</i>"
    )


def _map_finding(cells: pd.DataFrame) -> str:
    known = cells[cells["jaccard"].notna()]
    if known.empty:
        return "Neither run keeps anything"
    places = [f"{_in(line.place)}, {line.role}" for line in lines(known)]
    return _overlap_finding(known, places, "cell", "block and role")


def _overlap_finding(known: pd.DataFrame, places: Sequence[str], what: str, each: str) -> str:
    found = ends(known["jaccard"].tolist(), places, wording.percent)
    if found is None:
        return f"Overlap is {wording.percent(known['jaccard'].iloc[0])} in every {each}"
    low, high = (f"{end.value} {_where(end, what)}" for end in found)
    return f"Overlap ranges from {low} to {high}"


def row_points(table: pd.DataFrame, ranked: bool, palette: Palette) -> Chart:
    """Overlap of each row of one matrix, with what chance would give; a click selects a row.

    Args:
        table: `kencore.views.compare.masks.row_overlap`.
        ranked: rows by falling overlap instead of by number.
    """
    shown = table.sort_values("jaccard", ascending=False, kind="stable") if ranked else table
    x = np.arange(len(shown), dtype=np.int32)
    many = len(shown) > _MANY
    figure = go.Figure(
        [
            go.Scatter(
                x=x,
                y=shown["chance"].to_numpy(np.float32),
                mode="lines",
                name="by chance",
                line={"color": palette.muted, "width": 1.5, "dash": "dash"},
                hoverinfo="skip",
            ),
            go.Scatter(
                x=x,
                y=shown["jaccard"].to_numpy(np.float32),
                name="overlap",
                mode="lines" if many else "markers",
                customdata=shown["row"].to_numpy(np.int32),
                marker={"size": 6, "color": palette.primary},
                line={"color": palette.primary, "width": 1},
                hovertemplate="row %{customdata:,}: overlap %{y:.1%}<extra></extra>",
            ),
        ]
    )
    finish(figure, height=220, x="rows, most alike first" if ranked else "row", y="overlap", legend=True, left=84)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_layout(hovermode="closest", clickmode="event+select", dragmode=False)
    finding = _rows_finding(table)
    return Chart(
        figure=figure,
        finding=finding,
        name="overlap-rows",
        data=shown,
        alt=f"Overlap of the two runs in each row, with chance as a dashed line. {finding}.",
    )


def _rows_finding(table: pd.DataFrame) -> str:
    known = table[table["jaccard"].notna()]
    if known.empty:
        return "Neither run keeps anything in this matrix"
    return _overlap_finding(known, [f"in row {int(row):,}" for row in known["row"]], "row", "row")


def agreement(grid: pd.DataFrame, labels: Sequence[str], palette: Palette) -> Chart:
    """Overlap of every pair of runs.

    Args:
        grid: `Comparison.jaccard_matrix`, (N, N).
        labels: what each run is called.
    """
    values = grid.to_numpy(np.float32).copy()
    off = values[~np.eye(len(values), dtype=bool)]
    np.fill_diagonal(values, np.nan)
    ticks = _ticks(pd.Series(off, dtype=float))
    figure = go.Figure(
        go.Heatmap(
            z=values,
            colorscale=palette.scale(palette.sequential),
            xgap=2,
            ygap=2,
            zmin=ticks[0],
            zmax=ticks[-1],
            showscale=False,
            text=_percents(values),
            texttemplate="%{text}",
            hovertemplate="%{y} and %{x}: overlap %{z:.1%}<extra></extra>",
            hoverongaps=False,
            x=list(range(len(labels))),
            y=list(range(len(labels))),
        )
    )
    letters = LETTERS[: len(labels)]
    short = [
        f"{letter}: {label if len(label) < 24 else label[:22] + '…'}"
        for letter, label in zip(letters, labels, strict=True)
    ]
    finish(figure, height=46 * len(labels), x="", y="", left=170)
    add_color_scale(figure, "overlap", palette.sequential, ticks, percent=True)
    _categories(figure, letters, short)
    figure.update_layout(plot_bgcolor="rgba(0,0,0,0)")
    pairs = [(values[i, j], i, j) for i in range(len(values)) for j in range(i)]
    (low, i, j), (high, k, m) = min(pairs), max(pairs)
    finding = (
        f"{labels[m]} and {labels[k]} agree most ({wording.percent(float(high))}), "
        f"{labels[j]} and {labels[i]} least ({wording.percent(float(low))})"
    )
    return Chart(
        figure=figure,
        finding=finding,
        name="overlap-runs",
        data=grid.set_axis(list(labels), axis=0).set_axis(list(labels), axis=1).reset_index(),
        alt=f"Map of runs by runs: overlap of each pair. {finding}.",
    )
