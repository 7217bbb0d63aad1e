"""Back to the head of a page whose own link was followed: Streamlit scrolls there for another page alone."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import links

ART: Final = Path(__file__).resolve().parent

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


@cache
def _mount() -> ComponentRenderer:
    return st.components.v2.component("kenviz.to_top", js=(ART / "to_top.js").read_text("utf-8"))


def to_top() -> None:
    """Draw nothing; scroll after each of `links.jumps`."""
    _mount()(key="kenviz-to-top", data={"jumps": links.jumps()}, height=1)
