"""Quality against size: a line for each way to prune, beside the model that nothing was taken from.

N points of a line, from the smallest.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts.base import Chart, fade, finish, lines
from app.charts.ticks import log_ticks
from app.charts.tradeoff_data import Curves, Reference, Way
from app.charts.tradeoff_words import finding
from kencore.words import numbers as wording
from kencore.words.palette import Palette

Size = Literal["share", "bytes"]
_COLUMNS: Final[dict[Size, str]] = {"share": "kept_share", "bytes": "nbytes"}
_AXES: Final[dict[Size, str]] = {"share": "kept share of the pruned tensors", "bytes": "size of the subnetwork file"}
_FEW: Final = 5  # lines up to which each has a band; more have error bars
_FAR: Final = 6.0  # times the smallest: a measure that spans more is drawn on a log scale
_NARROW: Final = 460  # pixels of a plot on a small screen
_SHARES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def quality_by_size(curves: Curves, palette: Palette, *, size: Size, log: bool) -> Chart:
    """The curves with 95 % intervals, knees and the Pareto front. A point's ``customdata`` is the
    id of its (first) run, for a click.

    Args:
        size: what stands on the x axis.
        log: whether it is logarithmic.
    """
    table, measure = curves.table, curves.measure
    column = _COLUMNS[size]
    scale = 100.0 if measure.say is wording.percent else 1.0  # of the y axis
    figure = go.Figure()
    _references(figure, curves, palette, scale)
    best = table[table["front"]].sort_values(column, kind="stable")
    figure.add_trace(
        go.Scatter(
            x=best[column],
            y=scale * best["value"],
            mode="lines",
            name="Pareto front",
            line={"color": fade(palette.muted, 0.28), "width": 11},
            hoverinfo="skip",
        )
    )
    bands = table["name"].nunique() <= _FEW
    for name, part in table.groupby("name", sort=False):
        way = curves.ways[str(name)]
        if bands and len(part) > 1 and not part["baseline"].all():
            figure.add_trace(_band(part, column, scale, way))
        figure.add_trace(_line(part, column, scale, way, curves, bars=not bands or len(part) == 1))
    marked = table[table["knee"] & ~table["baseline"].astype(bool)]
    figure.add_trace(
        go.Scatter(
            x=marked[column],
            y=scale * marked["value"],
            mode="markers",
            name="knee",
            marker={"size": 19, "symbol": "circle-open", "color": palette.text, "line": {"width": 2}},
            hoverinfo="skip",
        )
    )
    if curves.dense is not None:
        _dense_point(figure, curves.dense, palette, scale, size)
    said = f"{measure.label}, lower is better" if measure.lower else measure.label
    finish(figure, height=400, x=_AXES[size], y=said, legend=True, left=76)
    _room_for_legend(figure)
    _x_axis(figure, curves, column, size, log)
    powers = _y_axis(figure, curves, scale)
    _name_references(figure, curves, palette, scale, powers)
    figure.update_layout(hovermode="closest", clickmode="event+select", dragmode=False, uirevision="sweep")
    found = finding(curves, sizes=size == "bytes")
    return Chart(
        figure=figure,
        finding=found,
        name="trade-off",
        data=_data(curves),
        alt=f"Lines of {measure.label} over {_AXES[size]}, one per way to prune. {found}.",
    )


def _data(curves: Curves) -> pd.DataFrame:
    table = curves.table
    return pd.DataFrame(
        {
            "way": [curves.ways[name].label for name in table["name"]],
            "baseline": table["baseline"],
            "kept_asked": table["keep"],
            "k": table["k"],
            "kept_share": table["kept_share"],
            "bytes": table["nbytes"],
            "measure": curves.measure.label,
            "value": table["value"],
            "low": table["value_low"],
            "high": table["value_high"],
            "seeds": table["seeds"],
            "knee": table["knee"],
            "pareto_front": table["front"],
            "runs": [" ".join(runs) for runs in table["runs"]],
        }
    )


# --- traces -----------------------------------------------------------------------------------


def _line(part: pd.DataFrame, column: str, scale: float, way: Way, curves: Curves, *, bars: bool) -> go.Scatter:
    part = part.sort_values(column, kind="stable")  # from left to right, in whatever size is shown
    baseline = bool(part["baseline"].all())
    value, low, high = (scale * part[name].to_numpy(np.float64) for name in ("value", "value_low", "value_high"))
    error = {
        "type": "data",
        "symmetric": False,
        "array": np.nan_to_num(high - value),
        "arrayminus": np.nan_to_num(value - low),
        "color": way.color,
        "thickness": 1,
        "width": 3,
    }
    return go.Scatter(
        x=part[column],
        y=value,
        mode="lines+markers",
        opacity=0.75 if baseline else 1.0,
        name=way.label,
        line={"color": way.color, "width": 1.3 if baseline else 2.2, "dash": way.dash},
        marker={
            "size": 6 if baseline else 9,
            "symbol": way.symbol,
            "color": way.color,
            "line": {"width": 1.5, "color": way.color},
        },
        error_y=error if bars and not baseline else None,
        customdata=[runs[0] if runs else "" for runs in part["runs"]],
        text=[_hover(line, way, curves) for line in lines(part)],
        hovertemplate="%{text}<extra></extra>",
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 1}},
    )


def _band(part: pd.DataFrame, column: str, scale: float, way: Way) -> go.Scatter:
    """The interval of a line as an area, left out where there is none."""
    known = part.dropna(subset=["value_low", "value_high"]).sort_values(column, kind="stable")
    x = known[column].to_numpy(np.float64)
    low, high = (scale * known[name].to_numpy(np.float64) for name in ("value_low", "value_high"))
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]),
        y=np.concatenate([low, high[::-1]]),
        mode="lines",
        fill="toself",
        fillcolor=fade(way.color, 0.13),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        name=f"{way.label}, 95 % interval",
    )


def _hover(line: Any, way: Way, curves: Curves) -> str:
    say = curves.measure.say
    said = f"<b>{way.label}</b>, {_asked(line)}<br>{curves.measure.label} {say(line.value)}"
    if math.isfinite(line.value_low) and line.value_high > line.value_low:
        said += f"<br>95 % interval {say(line.value_low)} to {say(line.value_high)}"
    said += f"<br>{wording.size(line.nbytes)}, {wording.percent(line.kept_share)} of what is pruned"
    said += f"<br>mean of {line.seeds} seeds" if line.seeds > 1 else ""
    if line.knee:
        said += "<br>knee: below it quality falls faster than size"
    if line.baseline:
        return f"{said}<br><i>measured as a baseline, no run of its own</i>"
    which = " (its first seed)" if len(line.runs) > 1 else ""
    return f"{said}<br><i>click to open the run{which}</i>"


def _asked(line: Any) -> str:
    """The budget of a point; nothing is kept of a coded difference."""
    return line.budget if pd.isna(line.keep) and pd.isna(line.k) else f"{line.budget} kept"


def _references(figure: go.Figure, curves: Curves, palette: Palette, scale: float) -> None:
    """Lines across the plot: the dense model with its interval, and the base."""
    for reference, dash in ((curves.dense, "dash"), (curves.base, "dot")):
        if reference is None or not math.isfinite(reference.value):
            continue
        if math.isfinite(reference.low) and math.isfinite(reference.high) and dash == "dash":
            figure.add_hrect(
                y0=scale * reference.low,
                y1=scale * reference.high,
                line_width=0,
                layer="below",
                fillcolor=fade(palette.muted, 0.15),
            )
        figure.add_hline(
            y=scale * reference.value, layer="below", line={"color": palette.muted, "width": 1.4, "dash": dash}
        )


def _name_references(figure: go.Figure, curves: Curves, palette: Palette, scale: float, powers: bool) -> None:
    """What the lines across are, on the side of them where no curve is."""
    for reference in (curves.dense, curves.base):
        if reference is None or not math.isfinite(reference.value):
            continue
        y = scale * reference.value
        above = (reference is curves.dense) != curves.measure.lower
        figure.add_annotation(
            text=f"{reference.label} {curves.measure.say(reference.value)}",
            xref="paper",
            x=0,
            y=math.log10(y) if powers else y,
            xanchor="left",
            xshift=4,
            showarrow=False,
            yanchor="bottom" if above else "top",
            font={"size": 11, "color": palette.text},
            bgcolor=palette.background,
            opacity=0.85,
        )


def _dense_point(figure: go.Figure, dense: Reference, palette: Palette, scale: float, size: Size) -> None:
    x = 1.0 if size == "share" else dense.nbytes
    if not (math.isfinite(x) and math.isfinite(dense.value)):
        return
    figure.add_trace(
        go.Scatter(
            x=[x],
            y=[scale * dense.value],
            mode="markers",
            showlegend=False,
            name=dense.label,
            marker={"size": 12, "symbol": "diamond", "color": palette.muted},
            customdata=[""],
            text=[f"<b>{dense.label}</b>, nothing pruned"],
            hovertemplate="%{text}<br>%{y:.4g}<extra></extra>",
            cliponaxis=False,
        )
    )


# --- axes -------------------------------------------------------------------------------------


def _room_for_legend(figure: go.Figure) -> None:
    """As many lines as the legend needs on a small screen, in columns of one width."""
    names = [trace.name for trace in figure.data if trace.showlegend is not False]
    across = max(1, _NARROW // (52 + 7 * max(map(len, names))))
    more = 19 * (math.ceil(len(names) / across) - 1)
    layout = figure.layout
    figure.update_layout(height=layout.height + more, margin={"t": layout.margin.t + more})


def _x_axis(figure: go.Figure, curves: Curves, column: str, size: Size, log: bool) -> None:
    sizes = curves.table[column].to_numpy(np.float64)
    known = sizes[np.isfinite(sizes) & (sizes > 0)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    if size == "share":
        high = 1.0
    elif curves.dense is not None and math.isfinite(curves.dense.nbytes):
        high = max(high, curves.dense.nbytes)
    if size == "bytes":
        ticks = _byte_ticks(low, high, log)
        figure.update_xaxes(
            tickvals=ticks, ticktext=[wording.size(tick) if tick else "0" for tick in ticks], tickmode="array"
        )
    elif log:
        ticks = [tick for tick in _SHARES if tick >= low * 0.9]
        figure.update_xaxes(tickvals=ticks, tickmode="array")
    if size == "share":
        figure.update_xaxes(tickformat=".0%" if low >= 0.01 else ".2~%")
    if log and low > 0:
        room = 0.04 * max(0.3, math.log10(high / low))
        span = [math.log10(low) - room, math.log10(high) + room]
        figure.update_xaxes(type="log", range=span)
    else:
        figure.update_xaxes(range=[0, high * 1.03])
    figure.update_xaxes(zeroline=False, showgrid=False)


def _byte_ticks(low: float, high: float, log: bool) -> list[float]:
    if not log:
        step = 10 ** math.floor(math.log10(high))
        while high / step < 4:
            step /= 2
        return [step * i for i in range(int(high / step) + 1)]
    return log_ticks(low, high)


def _y_axis(figure: go.Figure, curves: Curves, scale: float) -> bool:
    """Range and ticks; returns whether the axis is logarithmic."""
    table = curves.table
    numbers = [table[name].to_numpy(np.float64) for name in ("value", "value_low", "value_high")]
    for reference in (curves.dense, curves.base):
        if reference is not None:
            numbers.append(np.array([reference.value, reference.low, reference.high]))
    every = scale * np.concatenate(numbers)
    every = every[np.isfinite(every)]
    if not len(every):
        return False
    low, high = float(every.min()), float(every.max())
    room = 0.05 * (high - low) or 1.0
    figure.update_yaxes(zeroline=False)
    if scale == 100:
        figure.update_yaxes(ticksuffix=" %", range=[max(0.0, low - room), min(101.0, high + room)])
    elif low > 0 and high > _FAR * low:
        ticks = log_ticks(low, high)
        figure.update_yaxes(
            type="log",
            tickmode="array",
            tickvals=ticks,
            ticktext=[f"{tick:,g}" for tick in ticks],
            range=[math.log10(low) - 0.06, math.log10(high) + 0.06],
        )
        return True
    else:
        figure.update_yaxes(range=[low - room, high + room])
    return False
