"""The whole model on one map, from blocks and roles down to a single weight.

The address: ``run``, ``other`` (a run beside it, in step), ``at`` (a matrix), ``r0 r1 c0 c1`` (what
is in sight, in rows and columns of that matrix), ``row col`` (a weight), ``layer``, ``reset``, ``range``.
"""

from __future__ import annotations

import streamlit as st

from app import viewer
from app.app_pages.map import parts as map_parts
from app.frame import state
from app.parts import colours
from kencore.errors import KencoreError
from kencore.views import damage

with state.messages():
    run = state.current_run()
st.title(state.plain(map_parts.finding(run)))
map_parts.choose_other(run)
second = None
try:
    second = map_parts.other(run)
except KencoreError as error:
    state.show_error(error)
usual = damage.usual(run.matrices, coded=run.spec.coded)
layer = colours.LAYER_OF[usual.measure]
try:
    view = map_parts.view_of(run, layer)
except KencoreError as error:
    state.show_error(error)
    st.caption("The whole model is shown instead.")
    view = viewer.View(layer=layer)
if not usual.known:
    st.caption(colours.UNKNOWN)
runs = [run] if second is None else [run, second]
sources = [viewer.source(one, map_parts.title_of(one)) for one in runs]


@st.fragment(key="in-view")
def in_view() -> None:
    """Follows the map without running the page again; a part of the drawing moves the map itself."""
    if st.session_state.pop(map_parts.FLY, False):
        st.rerun()
    map_parts.details(run, *map_parts.in_view(view))


with st.grid(4, min_column_width=230, gap="small") as grid:
    with grid.cell(column_span=3 if second is None else 4):
        viewer.weight_map(
            sources, view, key=map_parts.MAP, on_cell=lambda: st.rerun("in-view"), usual=layer, lost=usual.known
        )
    with grid.cell(), st.container(border=True, gap="small"):
        in_view()
