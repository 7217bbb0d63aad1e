"""Quality against size: many prunings of one model, measured on the same data."""

from __future__ import annotations

import streamlit as st

from app import choosing, links, state, tradeoff_form, tradeoff_parts, tradeoff_sweeps
from kencore.store.sweeps import list_sweeps

VIEWS = {"curve": "Sweeps", "new": "New sweep"}

st.title("How small before it breaks")
with state.messages():
    sweeps = list_sweeps()
    shown = tradeoff_sweeps.shown(sweeps)
    if shown is None:
        tradeoff_parts.nothing_yet()
        tradeoff_form.new_sweep()
        st.stop()
    links.restore("sweep")
    view = choosing.view("view", VIEWS, "curve", label="View")
if view == "new":
    tradeoff_form.new_sweep()
else:
    tradeoff_sweeps.choose(sweeps, shown)
    tradeoff_parts.results(shown, listed=shown in {found.id for found in sweeps})
