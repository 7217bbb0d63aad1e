"""One matrix, from the whole of it down to a single weight."""

from __future__ import annotations

import streamlit as st

from app import viewer
from app.frame import links, state
from app.parts import block_drawing, whole
from app.parts import matrix as matrix_parts
from kencore.words import matrices
from kencore.words import numbers as wording

with state.messages():
    run = state.current_run()
line = matrix_parts.matrix_or_choice(run)

name = str(line["name"])
pruned = line["status"] == "pruned"
terms = wording.terms(run.restore, coded=run.spec.coded)
finding = matrices.finding(line, run.matrices, terms.done)
st.title(state.plain(finding if pruned else matrices.title(line, run.matrices)))
matrix_parts.choose(run.matrices, line)
if run.thin:
    whole.missing(run)
    matrix_parts.facts(line, terms)
    st.stop()
if not pruned:
    st.info(f"This matrix was not pruned: {state.plain(str(line['reason']))}. Choose another one above.")
    st.stop()
try:
    view = matrix_parts.view_of(line, run.restore, coded=run.spec.coded)
except links.LinkError as error:
    state.show_error(error)
    st.caption("The whole matrix is shown instead.")
    view = viewer.View(layer=matrix_parts.usual_layer(run.spec.coded))


@st.fragment(key="weight")
def selected_weight() -> None:
    """Follows the click on the map without running the page again."""
    matrix_parts.weight(run, name, matrix_parts.selected(name, view))


source = viewer.source(run, finding, line)
with st.grid(4, min_column_width=230, gap="small") as grid:
    with grid.cell(column_span=3, row_span=2):
        viewer.weight_map([source], view, key=matrix_parts.MAP, on_cell=lambda: st.rerun("weight"))
    with grid.cell(), st.container(border=True):
        selected_weight()
    with grid.cell(), st.container(border=True, gap="small"):
        block_drawing.draw(
            run,
            line,
            key="matrix-block",
            address=block_drawing.link_to("matrix", "matrix", run),
            go=matrix_parts.open_matrix,
            wide=False,
        )
        matrix_parts.facts(line, terms)
        matrix_parts.onward(run.id, line, terms.done)
