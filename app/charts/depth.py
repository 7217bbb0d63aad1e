"""Sparsity over depth: bars of one run by block or by role, lines of several runs."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, finish, lines
from app.charts.ticks import FEW, block_ticks
from kencore.views import sparsity
from kencore.words import numbers as wording
from kencore.words.findings import depth_finding, names, roles_finding
from kencore.words.palette import Palette

_ACROSS: Final = 4  # small panels in a line
_PANEL: Final = 110  # pixels of a small panel
_LABEL: Final = 18  # letters in a line of a direct label
_SAME_SPAN: Final = 5e-4  # spans that differ by less are said to be the same
SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """One run over depth: `sparsity.by_block`, its overall target and how it is drawn; ``level``: what the target is
    called.
    """

    label: str
    color: str
    symbol: str
    blocks: pd.DataFrame
    target: float
    level: str = "target"


def block_bars(run: Depth, palette: Palette) -> Chart:
    """Sparsity of each block as a bar, with the target as a line."""
    table, labels = run.blocks, names(run.blocks)
    place = np.arange(len(table), dtype=np.int32)
    figure = go.Figure(_bars(place, table, labels, run.color))
    figure.update_layout(shapes=[_level(run.target, palette.text)])
    finish(figure, height=230, x="block", y="sparsity", left=84)
    _block_axis(figure, labels)
    top = max([run.target, *table["sparsity"]])
    figure.update_yaxes(range=[0, min(1.0, top * 1.2)], tickformat=".0%")
    figure.update_layout(bargap=0.3 if len(table) < 40 else 0.1)
    figure.add_annotation(**_target_note(run.target, palette, run.level))
    finding = depth_finding(run.blocks, labels)
    return Chart(
        figure=figure,
        finding=finding,
        name="sparsity-blocks",
        data=table,
        alt=f"Bars of sparsity by block, with the {run.level} as a line. {finding}.",
    )


def role_bars(cells: pd.DataFrame, run: Depth, palette: Palette) -> Chart:
    """The same for each role, in small panels with one scale.

    Args:
        cells: `sparsity.by_block_and_role`.
    """
    roles = list(dict.fromkeys(cells["role"]))
    across, down = min(_ACROSS, len(roles)), math.ceil(len(roles) / _ACROSS)
    top = min(1.0, 1.2 * max([run.target, *cells["sparsity"]]))
    deepest = int(cells.groupby("role").size().max())
    figure = go.Figure()
    for i, role in enumerate(roles):
        table = cells[cells["role"] == role]
        axes = _axes(i, across, down)
        place = np.arange(len(table), dtype=np.int32)
        figure.add_trace(_bars(place, table, names(table), run.color, **axes))
        x, y = _domains(i, across, down)
        number = "" if i == 0 else str(i + 1)
        figure.update_layout(
            {
                f"xaxis{number}": {
                    "domain": x,
                    "anchor": f"y{number}",
                    "showgrid": False,
                    "zeroline": False,
                    "range": [-0.6, deepest - 0.4],
                    **({"tickmode": "auto"} if deepest > FEW else {"dtick": math.ceil(deepest / 4)}),
                    "title": {"text": "block", "standoff": 8} if i // across == down - 1 else None,
                },
                f"yaxis{number}": {
                    "domain": y,
                    "anchor": f"x{number}",
                    "range": [0, top],
                    "tickformat": ".0%",
                    "showticklabels": i % across == 0,
                    "nticks": 4,
                    "title": {"text": "sparsity", "standoff": 14} if i % across == 0 else None,
                },
            }
        )
        figure.add_annotation(
            text=f"<b>{wording.ROLES.get(role, role)}</b>",
            xref="paper",
            yref="paper",
            x=x[0],
            y=y[1],
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
            font={"size": 12},
            yshift=2,
        )
        level = _level(run.target, palette.text)
        figure.add_shape(level | {"xref": f"x{number} domain", "yref": f"y{number}"})
    finish(figure, height=(_PANEL + 60) * down - 60, x="", y="")
    figure.update_layout(bargap=0.25, margin={"t": 30, "b": 52, "l": 84}, showlegend=False)
    finding = roles_finding(cells)
    return Chart(
        figure=figure,
        finding=finding,
        name="sparsity-roles",
        data=cells,
        alt=f"Bars of sparsity by block, a panel for each role. {finding}.",
    )


def depth_lines(runs: Sequence[Depth], palette: Palette) -> Chart:
    """Sparsity over depth, a line per run with its name at its end."""
    figure = go.Figure()
    targets = sorted({round(run.target, 6) for run in runs})
    values = np.concatenate([run.blocks["sparsity"].to_numpy(float) for run in runs] + [targets])
    low, high = float(values.min()), float(values.max())
    room = max(0.08 * (high - low), 0.01)
    low, high = max(0.0, low - room), min(1.0, high + room)
    for run in runs:
        place = np.arange(len(run.blocks), dtype=np.int32)
        figure.add_trace(
            go.Scatter(
                x=place,
                y=run.blocks["sparsity"].to_numpy(np.float32),
                name=run.label,
                mode="lines+markers",
                text=_hovers(run.blocks, names(run.blocks), run.label),
                hovertemplate="%{text}<extra></extra>",
                line={"color": run.color, "width": 2},
                marker={"size": 8, "symbol": run.symbol, "color": run.color},
            )
        )
    finish(figure, height=320, x="block", y="sparsity", left=84)
    longest = max((names(run.blocks) for run in runs), key=len)
    _block_axis(figure, longest)
    figure.update_yaxes(range=[low, high], tickformat=".0%")
    one = len(targets) == 1
    figure.update_layout(
        shapes=[_level(target, palette.muted if one else _of(runs, target)) for target in targets],
        hovermode="closest",
        hoverdistance=40,
    )
    _end_labels(figure, runs, low, high, 320)
    if one:
        figure.add_annotation(**_target_note(targets[0], palette))
    finding = _lines_finding(runs)
    return Chart(
        figure=figure,
        finding=finding,
        name="sparsity-depth",
        data=pd.concat([run.blocks.assign(run=run.label) for run in runs], ignore_index=True),
        alt=f"Lines of sparsity over the blocks, one per run. {finding}.",
    )


# --- pieces ----------------------------------------------------------------------------------


def _bars(place: Any, table: pd.DataFrame, labels: Sequence[str], color: str, **axes: Any) -> go.Bar:
    return go.Bar(
        x=place,
        y=table["sparsity"].to_numpy(np.float32),
        text=_hovers(table, labels),
        textposition="none",
        hovertemplate="%{text}<extra></extra>",
        name="",
        marker={"color": color, "line": {"width": 0}},
        showlegend=False,
        **axes,
    )


def _hovers(table: pd.DataFrame, labels: Sequence[str], run: str = "") -> list[str]:
    head = f"{run}<br>" if run else ""
    return [
        f"{head}<b>{label[:1].upper()}{label[1:]}</b>: sparsity {wording.percent(line.sparsity, 2)}"
        f"<br>{wording.exact(line.params - line.kept)} of {wording.exact(line.params)} not kept"
        + ("" if math.isnan(line.target) else f"<br>asked for {wording.percent(line.target, 2)}")
        for label, line in zip(labels, lines(table), strict=True)
    ]


def _level(value: float, color: str) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "paper",
        "yref": "y",
        "x0": 0,
        "x1": 1,
        "y0": value,
        "y1": value,
        "line": {"color": color, "width": 1.3, "dash": "dash"},
        "layer": "above",
    }


def _target_note(value: float, palette: Palette, said: str = "target") -> dict[str, Any]:
    return {
        "text": f"{said} {wording.short_percent(value)}",
        "xref": "paper",
        "yref": "y",
        "x": 0,
        "y": value,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "xshift": 4,
        "font": {"size": 11, "color": palette.text},
        "bgcolor": palette.background,
        "opacity": 0.9,
    }


def _block_axis(figure: go.Figure, labels: Sequence[str]) -> None:
    figure.update_xaxes(**block_ticks(labels), showgrid=False, zeroline=False, range=[-0.6, len(labels) - 0.4])


def _axes(i: int, across: int, down: int) -> dict[str, str]:
    number = "" if i == 0 else str(i + 1)
    return {"xaxis": f"x{number}", "yaxis": f"y{number}"}


def _domains(i: int, across: int, down: int) -> tuple[list[float], list[float]]:
    """Where panel ``i`` lies, (x from, to) and (y from, to) of the plot."""
    column, row = i % across, i // across
    tall = _PANEL / ((_PANEL + 60) * down - 60)
    wide, gap = 1 / across, 0.03
    step = (1 - tall) / max(1, down - 1)
    left, bottom = column * wide, 1 - tall - row * step
    right = left + wide - (gap if column < across - 1 else 0)
    return [left, right], [max(0.0, bottom), min(1.0, bottom + tall)]


def _of(runs: Sequence[Depth], target: float) -> str:
    return next(run.color for run in runs if round(run.target, 6) == target)


def _end_labels(figure: go.Figure, runs: Sequence[Depth], low: float, high: float, height: int) -> None:
    """The name of each run at the end of its line, pushed apart where two would touch."""
    texts = [textwrap.wrap(run.label, _LABEL) or [""] for run in runs]
    last = [float(run.blocks["sparsity"].iloc[-1]) for run in runs]
    order = sorted(range(len(runs)), key=lambda i: last[i])
    half = [(8 * len(text) + 1) * (high - low) / height for text in texts]
    places, floor, ceiling = list(last), -math.inf, high
    for i in order:  # up from the lowest
        places[i] = max(last[i], floor + half[i])
        floor = places[i] + half[i]
    for i in reversed(order):  # and down again from the edge
        places[i] = min(places[i], ceiling - half[i])
        ceiling = places[i] - half[i]
    deepest = max(len(run.blocks) for run in runs) - 1
    for i in order:
        figure.add_annotation(
            text="<br>".join(texts[i]),
            x=deepest,
            y=places[i],
            xref="x",
            yref="y",
            xanchor="left",
            yanchor="middle",
            xshift=14,
            showarrow=False,
            align="left",
            font={"color": runs[i].color, "size": 12},
        )
    widest = max(len(line) for text in texts for line in text)
    figure.update_layout(margin={"r": int(min(200, 24 + 7 * widest))})
    figure.update_xaxes(range=[-0.4, deepest + 0.1])


def _lines_finding(runs: Sequence[Depth]) -> str:
    spans = {run.label: float(np.ptp(run.blocks["sparsity"])) for run in runs}
    even = [run.label for run in runs if sparsity.alike(run.blocks)]
    widest = max(spans, key=lambda label: spans[label])
    if len(even) == len(runs):
        return "Every block of these runs has the same sparsity"
    as_wide = [label for label in spans if spans[widest] - spans[label] < _SAME_SPAN]
    verb, whose = ("spread", "their") if len(as_wide) > 1 else ("spreads", "its")
    who = " and ".join(as_wide)
    text = f"{who} {verb} most: {100 * spans[widest]:.1f} points between {whose} blocks"
    return text + (f"; {' and '.join(even)} not at all" if even and len(even) < 3 else "")
