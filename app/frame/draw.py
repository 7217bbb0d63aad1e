"""How every chart gets onto a page: with its description, its numbers as CSV, itself as a file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from app.charts.base import CONFIG, Chart
from app.frame.save_chart import save_buttons
from kencore.system import plain


def draw(
    chart: Chart,
    *,
    key: str,
    point: Callable[[int], None] | None = None,
    custom: Callable[[Any], None] | None = None,
    saves: bool = True,
) -> None:
    """Draw a chart with a CSV of its numbers, and itself as PNG and SVG.

    Args:
        key: unique on the page.
        point: called with the index of the point that was clicked, before anything below runs.
        custom: the same with its ``customdata``, for charts of several traces.
        saves: the buttons that save its numbers and picture; none while presenting.
    """
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, key=f"{key}-charthead"):
        st.markdown(f"**{plain.markdown(chart.finding)}**", width="stretch")
        if saves:
            csv_button(chart.csv, chart.name, key=f"{key}-csv")
            save_buttons(chart, key)
    with _room(chart, key):
        _plot(chart, key, point, custom, saves=saves)


def _room(chart: Chart, key: str) -> AbstractContextManager[object]:
    """Where the picture stands: as high as it wants to be at the width of the page."""
    if not chart.height:
        return nullcontext()
    st.html(f"<style>.st-key-{key} {{flex: none !important; height: {chart.height} !important}}</style>")
    return st.container(key=f"{key}-room")


def _plot(
    chart: Chart, key: str, point: Callable[[int], None] | None, custom: Callable[[Any], None] | None, *, saves: bool
) -> None:
    figure = harmless(chart.figure)
    if point is None and custom is None:
        bare = {} if saves else {"displayModeBar": False}
        st.plotly_chart(figure, key=key, alt=chart.alt, config=_config(chart) | bare)
        return
    event = st.plotly_chart(
        figure,
        key=key,
        alt=chart.alt,
        config=_config(chart) | {"displayModeBar": False},
        on_select="rerun",
        selection_mode="points",
    )
    picked = event["selection"]["points"]
    if picked and point is not None:
        point(int(picked[0]["point_index"]))
    if picked and custom is not None:
        custom(picked[0].get("customdata"))


def harmless(figure: go.Figure) -> go.Figure:
    """The figure, no text of which is a link."""
    found = figure.to_dict()
    mended = _mended(found)
    return figure if mended is found else figure.__class__(mended)


def _mended(found: Any) -> Any:
    """What a figure is made of with its texts mended; the very same object where none had to be."""
    if isinstance(found, str):
        text = plain.figure(found)
        return found if text == found else text
    if isinstance(found, dict):
        new = {key: _mended(value) for key, value in found.items()}
        return new if any(new[key] is not value for key, value in found.items()) else found
    if isinstance(found, list | tuple) or (isinstance(found, np.ndarray) and found.dtype.kind in "OUT"):
        items = [_mended(value) for value in found]
        return items if any(new is not old for new, old in zip(items, found, strict=True)) else found
    return found


def csv_button(data: Callable[[], bytes], name: str, *, key: str, label: str = "CSV") -> None:
    """A small button that downloads ``name``.csv, made when it is clicked."""
    st.download_button(
        label,
        data,
        f"{name}.csv",
        "text/csv",
        key=key,
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        help="The numbers as CSV",
    )


def _config(chart: Chart) -> dict[str, Any]:
    return CONFIG | {"toImageButtonOptions": {"format": "svg", "filename": chart.name}}
