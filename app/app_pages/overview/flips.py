"""What changed in the answers, on the overview: counts, the three worst, and where the others are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from app.frame import links, state
from app.parts import flips as flips_parts
from kencore.views import flips as views
from kencore.words import flips as words

if TYPE_CHECKING:
    from kencore.runs.run import Run


def what_changed(run: Run) -> None:
    """The heart of the page Flips; where nothing was computed yet the way there."""
    if not flips_parts.has_answers(run):
        return
    st.header("What changed in the answers")
    found = flips_parts.stored(run)
    if found is None:
        st.caption("Which answers pruning changed was not computed for this run yet.")
        links.page_link("flips", "Find them", icon=":material/swap_vert:")
        return
    st.markdown(f"**{state.plain(words.finding(found.facts))}**")
    st.caption(state.plain(words.balance(found.facts)))
    if found.facts["changed"]:
        flips_parts.examples(views.worst(found.table), found.facts, run)
    links.page_link("flips", "All changed answers", icon=":material/swap_vert:")
