"""A page of the menu is one step of the browser's history, with the run that the app puts into its address."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import links

ART: Final = Path(__file__).resolve().parent
KEY: Final = "one-step"

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


@cache
def _mount() -> ComponentRenderer:
    return st.components.v2.component("kenviz.one_step", js=(ART / "one_step.js").read_text("utf-8"))


def one_step() -> None:
    """Draw nothing. `links.restore` names the run in an address from the menu, which would be a second step."""
    with st.container(key=KEY):
        _mount()(key="kenviz-one-step", data={"names": list(links.STICKY)})
