"""The buttons "PNG" and "SVG" of every chart: the browser saves what it shows, with its finding."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.charts.base import Chart

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

ART: Final = Path(__file__).resolve().parent
HTML: Final = """\
<div class="save">
  <button type="button" data-kind="png" title="The picture as PNG">PNG</button>
  <button type="button" data-kind="svg" title="The picture as SVG">SVG</button>
  <span class="said" role="status"></span>
</div>
"""


@cache
def _mount() -> ComponentRenderer:
    return st.components.v2.component(
        "kenviz.save_chart",
        html=HTML,
        css=(ART / "save_chart.css").read_text("utf-8"),
        js=(ART / "save_chart.js").read_text("utf-8"),
    )


def save_buttons(chart: Chart, key: str) -> None:
    """Draw both buttons for the chart that stands on the page under ``key``."""
    _mount()(
        key=f"{key}-save",
        width="content",
        data={"chart": css_name(key), "name": chart.name, "finding": chart.finding, "alt": chart.alt},
    )


def css_name(key: str) -> str:
    """How Streamlit writes a key in the class ``st-key-...`` of an element."""
    return re.sub(r"[^a-zA-Z0-9_-]", "-", key.strip())
