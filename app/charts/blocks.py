"""One matrix in every block: small pictures side by side, and kept shares from block to block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from app.charts import png
from app.charts.base import Chart, add_color_scale, finish, lines
from app.charts.ticks import block_ticks
from kencore.words import numbers as wording
from kencore.words.extremes import ends
from kencore.words.palette import Palette

_LABEL: Final = 40  # pixels above a picture for its two lines of text
_ROOM: Final = 640  # pixels that a line of pictures fills at most
_NARROW: Final = 336  # the same on a phone
_LEAST: Final = 60  # pixels that a picture is high at least
_PART: Final = 0.96  # of the width of its place that a picture takes
_AROUND: Final = 16  # pixels above and below all of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What the colors of the pictures mean.

    Attributes:
        title: what is colored, with its unit.
        low, high: values of the first and the last color.
        colors: from low to high.
        reset: the color of entries that were not kept, where the layer has one.
        gone: what became of them.
        percent: whether values are shares.
        ticks: how many values are written at the scale.
    """

    title: str
    low: float
    high: float
    colors: Sequence[str]
    reset: str | None = None
    gone: str = "reset"
    percent: bool = False
    ticks: int = 3


def tiles_across(number: int) -> int:
    """Pictures in a line: few enough to see, many enough to compare."""
    if number <= 4:
        return max(1, number)
    return {5: 3, 6: 3}.get(number, 4 if number <= 12 else 6 if number <= 36 else 8)


def _short(text: str) -> str:
    """The number alone of what is written below a picture: ``50 %`` of ``50 % kept``."""
    return text.partition(" ")[0] if text[:1].isdigit() else "–"


def block_pictures(
    pictures: Sequence[png.Indices],
    colors: Sequence[str],
    labels: Sequence[tuple[str, str]],
    blocks: pd.DataFrame,
    palette: Palette,
    *,
    finding: str,
    aspect: float,
    scale: Scale,
) -> Chart:
    """Small pictures in one figure; clicking one selects its point.

    Args:
        pictures: one grid of color indices per block, with the proportions of its matrix.
        colors: at most 256 colors that the indices mean.
        labels: (name of the block, what is written below it) per picture.
        blocks: the numbers behind the pictures, one line per block.
        finding: what they show together.
        aspect: rows over columns of the matrix.
        scale: what the colors mean, drawn above the pictures.
    """
    across = tiles_across(len(pictures))
    lines = math.ceil(len(pictures) / across)
    tall, least = (float(np.clip(room / across * aspect, _LEAST, 320)) for room in (_ROOM, _NARROW))
    label = _LABEL / (tall + _LABEL)
    above = _LABEL / (least + _LABEL) - label  # of a line: the first label's room where lines are low
    x = (np.arange(len(pictures)) % across).astype(float)
    y = (np.arange(len(pictures)) // across).astype(float)
    images = [
        {
            "source": png.data_uri(png.encode(picture, colors)),
            "xref": "x",
            "yref": "y",
            "x": x[i] + 0.02,
            "y": y[i] + label,
            "xanchor": "left",
            "yanchor": "top",
            "sizex": _PART,
            "sizey": 0.98 - label,
            "sizing": "contain",  # at any width a picture keeps its proportions
            "layer": "below",
        }
        for i, picture in enumerate(pictures)
    ]
    many = across >= 6  # each has room for a few letters only; what the numbers are is in the title
    notes = [
        {
            "text": f"<b>{name}</b><br>{_short(text) if many else text}",
            "xref": "x",
            "yref": "y",
            "x": x[i] + 0.02,
            "y": y[i] + label,
            "xanchor": "left",
            "yanchor": "bottom",
            "showarrow": False,
            "align": "left",
            "font": {"size": 10 if many else 12, "color": palette.text},
        }
        for i, (name, text) in enumerate(labels)
    ]
    # all at once: one by one takes seconds for 80 blocks
    figure = go.Figure(layout={"images": images, "annotations": notes})
    figure.add_trace(
        go.Scatter(
            x=x + 0.5,
            y=y + label + (1 - label) / 2,
            mode="markers",
            name="",
            showlegend=False,
            text=[f"<b>{name}</b><br>{text}<br><i>click to open</i>" for name, text in labels],
            hovertemplate="%{text}<extra></extra>",
            marker={"size": 60, "symbol": "square", "opacity": 0},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
        )
    )
    height = int((lines + above) * (tall + _LABEL))
    finish(figure, height=height, x="", y="", legend=True)
    figure.update_layout(
        hovermode="closest",
        hoverdistance=400,
        clickmode="event+select",
        dragmode=False,
        height=height + _AROUND,
        margin={"t": _AROUND // 2, "l": 2, "r": 2, "b": _AROUND // 2},
    )
    _add_scale(figure, scale)
    axis = {"visible": False, "fixedrange": True, "showgrid": False, "zeroline": False}
    figure.update_xaxes(range=[0, across], **axis)
    figure.update_yaxes(range=[lines, -above], **axis)
    return Chart(
        figure=figure,
        finding=finding,
        name="blocks-pictures",
        data=blocks,
        height=_css_height(figure, lines + above, tall, aspect / across),
        alt=f"The same matrix in {len(pictures)} blocks, side by side. {finding}.",
    )


def _css_height(figure: go.Figure, lines: float, tall: float, aspect: float) -> str:
    """As high as the lines of pictures are at the width of the page, the figure's own height at most.

    Args:
        lines: of pictures, each with its label.
        tall: pixels that a picture is high at most.
        aspect: height of a picture over the width of all pictures of a line.
    """
    beside = figure.layout.height - lines * (tall + _LABEL)
    line = f"clamp({_LEAST + _LABEL}px, {100 * _PART * aspect:.3f}cqw + {_LABEL}px, {tall + _LABEL:.1f}px)"
    return f"calc({lines:.4f} * {line} + {beside:.1f}px)"


def _add_scale(figure: go.Figure, scale: Scale) -> None:
    """A color scale at the top right, and the color of reset entries at the top left."""
    ticks = np.linspace(scale.low, scale.high, scale.ticks).tolist()
    add_color_scale(figure, scale.title, scale.colors, ticks, percent=scale.percent)
    if scale.reset is not None:  # below the words above the strip, which may take the whole line, at any height
        figure.update_layout(legend={"y": 1 - 44 / figure.layout.height})
        figure.add_trace(
            go.Scatter(
                x=[None],
                y=[None],
                mode="markers",
                name=scale.gone,
                hoverinfo="skip",
                marker={"color": scale.reset, "symbol": "square", "size": 11},
            )
        )


def block_lines(
    blocks: pd.DataFrame, labels: Sequence[str], palette: Palette, terms: wording.Terms = wording.TERMS["base"]
) -> Chart:
    """Kept share of the entries and of the change, block by block; of rounded changes the lost share, as even a
    changed weight loses some of its.

    Args:
        blocks: `summaries.family_blocks`.
        labels: name of each block.
    """
    place = np.arange(len(blocks), dtype=np.int32)
    measured = _measured(terms)
    words, done = (terms.change_lost, "lost") if measured == "diff_lost" else (terms.change_kept, "kept")
    hover = [
        f"<b>{label}</b><br>{wording.exact(line.kept)} of {wording.exact(line.params)} {terms.done} "
        f"({wording.percent(line.share)})<br>"
        f"{words} {wording.percent(getattr(line, measured))}"
        for label, line in zip(labels, lines(blocks), strict=True)
    ]
    alone = terms.dense != "tuned"
    change = "squared weights" if alone else "change (squared tuned - base)"
    figure = go.Figure()
    for column, name, color, symbol, dash in (
        ("share", f"{terms.done} share of the weights", palette.kept, "circle", "solid"),
        (measured, f"{done} share of the {change}", "#D06F12", "diamond", "dash"),
    ):
        figure.add_trace(
            go.Scatter(
                x=place,
                y=blocks[column].to_numpy(np.float32),
                mode="lines+markers",
                name=name,
                line={"color": color, "width": 2, "dash": dash},
                text=hover,
                marker={"size": 8, "symbol": symbol},
                hovertemplate="%{text}<extra></extra>",
            )
        )
    finding = _lines_finding(blocks, labels, "squared weights" if alone else "change", terms)
    finish(figure, height=240, x="block", y="share", legend=True)
    figure.update_xaxes(**block_ticks(labels), showgrid=False, zeroline=False, range=[-0.5, len(labels) - 0.5])
    figure.update_yaxes(range=[0, 1.05], tickformat=".0%")
    return Chart(
        figure=figure,
        finding=finding,
        name="blocks-shares",
        data=blocks,
        alt=f"Lines of {terms.done} share by block. {finding}.",
    )


def _measured(terms: wording.Terms) -> str:
    """Which column says how much of the change is left, or lost."""
    return "diff_lost" if terms is wording.CODED else "diff_share_kept"


def _lines_finding(
    blocks: pd.DataFrame, labels: Sequence[str], what: str, terms: wording.Terms = wording.TERMS["base"]
) -> str:
    measured = _measured(terms)
    found = ends(blocks["share"].tolist(), labels, lambda share: wording.percent(share, 0))
    if found is None:
        text = f"Every block {terms.does} {wording.percent(blocks['share'].mean(), 0)} of its weights"
    else:
        low, high = found
        text = f"{low.value} to {high.value} of the weights {terms.done}, most in {high.where('blocks')}"
    if blocks[measured].isna().all():
        return text
    low_share, high_share = (wording.percent(share, 0) for share in (blocks[measured].min(), blocks[measured].max()))
    change = low_share if low_share == high_share else f"{low_share} to {high_share}"
    if measured == "diff_lost":
        return f"{text}; {change} of the {what} lost"
    return f"{text}{' and' if found is None else ';'} {change} of the {what}"
