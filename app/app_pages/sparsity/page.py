"""How a run spreads its sparsity, over blocks and over rows, and what decided that."""

from __future__ import annotations

import streamlit as st

from app.app_pages.sparsity import parts as sparsity_parts
from app.app_pages.sparsity import runs as sparsity_runs
from app.charts import depth
from app.frame import state, theme
from app.frame.draw import draw
from kencore.views import sparsity
from kencore.words import run as facts

with state.messages():
    run = state.current_run()
palette = theme.palette()
st.title(state.plain(sparsity_runs.title(run)))
st.caption(state.plain(facts.subject(run.spec)))
if run.spec.coded:
    st.caption(sparsity_parts.CODED)
runs = [run, *sparsity_runs.choose_beside(run)]
drawn = sparsity_runs.depths(runs)

if sparsity.by_block(run.matrices).empty:
    st.info("This run pruned nothing inside blocks; its weights are on the Overview page.")
else:
    sparsity_parts.by_block(run, drawn[0], palette)
    if len(drawn) > 1:
        st.header("Sparsity by depth, run by run")
        draw(depth.depth_lines(drawn, palette), key="sparsity-depth")
    sparsity_parts.by_row(run, palette)
    sparsity_parts.how_decided(run, palette)
    sparsity_parts.aligned(run, palette)
st.header("Quality of these runs")
sparsity_runs.show_quality(runs)
