"""What every chart shares: a finding as its title, axes with units, room, and its own data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.charts import png
from kencore.words import numbers as wording

TURNED: Final = 16  # pixels between tick labels that may be turned and the title of their axis
_LEGEND = 30
_SCALE = 44  # pixels above a plot for its color scale
_SCALE_WIDTH = 0.5  # of the plot's width
CONFIG: Final[dict[str, Any]] = {"displaylogo": False, "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure with what it says.

    Attributes:
        figure: the Plotly figure, without its title: a page says it above, where it can wrap.
        finding: one sentence, what the picture shows: its title.
        alt: the same for a screen reader, with the kind of picture.
        data: the numbers drawn, for the CSV.
        name: file name of downloads, without extension.
        height: its height as CSS, where that depends on its width (``100cqw``).
    """

    figure: go.Figure
    finding: str
    alt: str
    data: pd.DataFrame
    name: str
    height: str = ""

    def csv(self) -> bytes:
        """The data as UTF-8 CSV."""
        return self.data.to_csv(index=False).encode()


def finish(figure: go.Figure, *, height: int, x: str, y: str, legend: bool = False, left: int = 64) -> go.Figure:
    """Give a figure its axis titles, its margins and, where asked, a legend above the plot.

    ``height`` is that of the plot; legend and axis titles come on top of it.
    """
    top, bottom = _LEGEND if legend else 12, 52 if x else 28
    figure.update_layout(
        height=top + height + bottom,
        margin={"t": top, "b": bottom, "l": left, "r": 16},
        showlegend=legend,
        hoverlabel={"align": "left"},
        legend={
            "orientation": "h",
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "title": {"text": ""},
            "traceorder": "normal",
            "bgcolor": "rgba(0,0,0,0)",
        },
    )
    if x:
        figure.update_xaxes(title={"text": x, "standoff": 8})
    if y:
        figure.update_yaxes(title={"text": y, "standoff": 14})
    return figure


def add_color_scale(
    figure: go.Figure, title: str, colors: Sequence[str], ticks: Sequence[float], *, percent: bool = False
) -> None:
    """A flat color scale above the plot, at its right; gives the figure the room for it.

    Call it after `finish`. ``colors`` run from the first to the last of ``ticks``. It is a
    picture with labels: a color bar moves the plot by amounts that depend on the browser.
    """
    margin, total = figure.layout.margin, figure.layout.height
    plot = total - margin.t - margin.b
    figure.update_layout(height=total + _SCALE, margin={"t": margin.t + _SCALE})
    above = 1 + 26 / plot  # texts hang on the strip, so that they keep clear of it at any height
    shown = png.shades(colors)
    strip = png.encode(np.arange(len(shown), dtype=np.uint8)[None, :], shown)
    figure.add_layout_image(
        source=png.data_uri(strip),
        xref="paper",
        yref="paper",
        x=1,
        xanchor="right",
        sizex=_SCALE_WIDTH,
        y=above,
        yanchor="bottom",
        sizey=8 / plot,
        sizing="stretch",
    )
    common = {
        "xref": "paper",
        "yref": "paper",
        "y": above,
        "yanchor": "bottom",
        "showarrow": False,
        "font": {"size": 11},
    }
    figure.add_annotation(text=title, x=1, xanchor="right", yshift=8, **common)
    digits = wording.range_digits(ticks[0], ticks[-1])
    for i, tick in enumerate(ticks):
        place = i / (len(ticks) - 1)
        anchor = "left" if i == 0 else "right" if place == 1 else "center"
        text = wording.percent(tick, digits) if percent else f"{tick:.2g}"
        figure.add_annotation(text=text, x=1 - _SCALE_WIDTH * (1 - place), xanchor=anchor, yshift=-20, **common)


def lines(table: pd.DataFrame) -> list[Any]:
    """The table line by line, columns as attributes."""
    return list(table.itertuples())


def with_gaps(*columns: NDArray[Any]) -> NDArray[np.float32]:
    """Columns (N,) each, woven into one polyline with NaN after every N-th segment.

    Two columns give x0 x1 nan x0 x1 nan ...: one trace for any number of segments.
    """
    stacked = np.stack([column.astype(np.float32) for column in columns], axis=1)  # N, points
    gap = np.full((len(stacked), 1), np.nan, np.float32)
    return np.concatenate([stacked, gap], axis=1).ravel()


def fade(color: str, opacity: float) -> str:
    """``#RRGGBB`` as rgba with an opacity."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def ink_on(color: str) -> str:
    """Black or white, whichever reads better on ``#RRGGBB`` (WCAG 2 luminance)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return "#10161D" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.19 else "#FFFFFF"
