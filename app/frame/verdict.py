"""The verdict on a run: one coloured sentence, the same on every page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.frame import state
from kencore.words.verdict import verdict

if TYPE_CHECKING:
    from kencore.runs.run import Run

_BOXES: Final[dict[str, tuple[Any, str]]] = {
    "safe": (st.success, ":material/check_circle:"),
    "unclear": (st.info, ":material/help:"),
    "damaged": (st.warning, ":material/warning:"),
    "ruined": (st.error, ":material/dangerous:"),
}


def show(run: Run, name: str | None = None) -> None:
    """Whether the run is safe, and how it stands beside other rules; nothing where it was not measured.

    Args:
        name: what the run is called where there are several.
    """
    found = verdict(run.metrics, run.spec.method)
    if found is None:
        return
    box, icon = _BOXES[found.level]
    called = f"{state.plain(name)}: " if name else ""
    box(f"{called}**{found.level.capitalize()}:** {state.plain(f'{found.change} {found.peers}'.strip())}", icon=icon)
