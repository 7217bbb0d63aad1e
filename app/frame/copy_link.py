"""The button "Copy link" of every page: the address of exactly what is on the screen."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

ART: Final = Path(__file__).resolve().parent
KEY: Final = "copy-link"
HTML: Final = """\
<div class="link">
  <input hidden readonly aria-label="Address of this view">
  <button type="button">
    <svg viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2"
      stroke-linecap="round"><path d="M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7l-1.6 1.6"/>
      <path d="M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7l1.6-1.6"/></svg>
    <span class="words">Copy link</span>
  </button>
  <span class="said" role="status"></span>
</div>
"""

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


@cache
def _mount() -> ComponentRenderer:
    return st.components.v2.component(
        "kenviz.copy_link",
        html=HTML,
        css=(ART / "copy_link.css").read_text("utf-8"),
        js=(ART / "copy_link.js").read_text("utf-8"),
    )


def copy_link(*, ask: bool = False, **add: str | None) -> None:
    """Draw the button, in the head of the page.

    ``add`` names what the view shows and the address may leave out, such as the run that is shown
    where none was chosen: the copied link says it, since another day's default is another one.

    Args:
        ask: the page has fields that report with the next click alone. A click on the button is one.
    """
    said = {name: value for name, value in add.items() if value is not None}
    with st.container(key=KEY):
        _mount()(key="kenviz-copy-link", data={"add": said, "ask": ask}, on_asked_change=lambda: None)
