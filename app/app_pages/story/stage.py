"""The frame of the story: where one is, Back and Next, arrow keys, and full screen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from app.frame import links

ART: Final = Path(__file__).resolve().parent
HTML: Final = """\
<nav aria-label="Steps of the story">
  <ol></ol><span class="count" aria-hidden="true"></span>
  <span class="told" role="status"></span>
</nav>
"""
KEY: Final = "story_stage"

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer


@cache
def _mount() -> ComponentRenderer:
    return st.components.v2.component(
        "kenviz.story_stage",
        html=HTML,
        css=(ART / "stage.css").read_text("utf-8"),
        js=(ART / "stage.js").read_text("utf-8"),
    )


def present(on: bool) -> None:
    """Hide all but the step, in larger type."""
    if on:
        st.html(ART / "present.css")


def stage(titles: Sequence[str], step: int, *, on: bool) -> None:
    """Back, Next, the dots and the presentation; a change goes into the address.

    Arrow keys press Back and Next, Escape ends the presentation.

    Args:
        titles: of all steps.
        step: the one that is shown, 1 to ``len(titles)``.
        on: the presentation is on.
    """

    def to(number: int) -> None:
        links.write(step=number)

    def dot() -> None:
        picked = st.session_state[KEY]["step"]
        if picked is not None:
            to(min(max(int(picked), 1), len(titles)))

    def turn() -> None:
        links.write(present=None if on else 1)

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Back",
            icon=":material/arrow_back:",
            key="story_back",
            disabled=step == 1,
            on_click=to,
            args=(step - 1,),
            help="Arrow key left",
        )
        st.button(
            "Next",
            icon=":material/arrow_forward:",
            icon_position="right",
            key="story_next",
            type="primary",
            disabled=step == len(titles),
            on_click=to,
            args=(step + 1,),
            help="Arrow key right",
        )
        st.button(
            "Leave" if on else "Present",
            icon=":material/fullscreen_exit:" if on else ":material/fullscreen:",
            key="story_present",
            on_click=turn,
            help="Escape" if on else "Full screen, with nothing but the story",
        )
        _mount()(
            key=KEY, data={"titles": list(titles), "step": step, "present": on}, on_step_change=dot, width="content"
        )
