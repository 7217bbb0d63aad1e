"""One row of a matrix: its density curve, the grid on it, and which values were kept."""

from __future__ import annotations

import streamlit as st

from app.charts import row as charts
from app.charts.row_density import row_density
from app.frame import choosing, links, state, theme
from app.frame.draw import draw
from app.parts import matrix as matrix_parts
from app.parts import row as row_parts
from app.parts import whole
from kencore.methods.table import METHODS
from kencore.views import tables as summaries
from kencore.words import matrices
from kencore.words import numbers as wording

ORDERS = {"value": "By value", "index": "By index"}

with state.messages():
    run = state.current_run()
line = matrix_parts.matrix_or_choice(run)
name, rows, cols = str(line["name"]), int(line["rows"]), int(line["cols"])
if line["status"] != "pruned":
    st.title(state.plain(matrices.title(line, run.matrices)))
    matrix_parts.choose(run.matrices, line)
    st.info(f"This matrix was not pruned: {state.plain(str(line['reason']))}. Choose another one above.")
    st.stop()

if run.thin:
    st.title(matrices.title(line, run.matrices))
    matrix_parts.choose(run.matrices, line)
    whole.missing(run)
    st.stop()

rule, terms = run.spec.method, wording.terms(run.restore, coded=run.spec.coded)
density = METHODS[rule].density
try:
    row = links.number("row", high=rows - 1) or 0
    keep = run.keep(name, slice(row, row + 1))[0]
    own = int(keep.sum())  # rows may differ
    k = row_parts.asked_k(cols, own) if density else own
    links.choice("order", tuple(ORDERS), "value")
except links.LinkError as error:
    st.title("No such row")
    state.show_error(error)
    matrix_parts.choose(run.matrices, line)
    row_parts.choose_anew(rows)
    st.stop()

st.title(state.plain(f"Row {row:,} of {matrices.title(line, run.matrices).lower()}"))
matrix_parts.choose(run.matrices, line)
with st.container(horizontal=True, vertical_alignment="bottom"):
    row_parts.choose_row(rows, row)
    if density and cols > 1:
        row_parts.choose_k(cols, own, k)

palette = theme.palette()
with state.messages():
    tuned, base = row_parts.values(run, name, row)
explained = row_parts.explain(tuned, k, rule) if density and k else None
if explained is not None and k != own:
    shared = summaries.jaccard(keep, explained.keep)
    keep = explained.keep
    st.warning(
        f"{k:,} kept instead of {own:,}; {wording.percent(shared, 0)} of the weights kept by either are kept by both.",
        title="What if: not this run's result",
        icon=":material/experiment:",
    )
if explained is not None:
    draw(row_density(tuned, keep, explained, palette, terms), key="row-density")
else:
    row_parts.show_scores(run, name, tuned, base, keep, palette)

with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
    st.header("Every weight")
    order = choosing.view("order", ORDERS, "value", label="Order")
draw(
    charts.row_values(
        tuned,
        keep,
        palette,
        by_value=order == "value",
        terms=terms,
        coded=run.spec.coded,
        base=base if run.restore == "base" else None,
    ),
    key="row-values",
)
with st.grid(2, min_column_width=420, gap="medium") as grid:
    with grid.cell():
        deciles = summaries.distance_deciles(tuned, keep)
        draw(charts.distance_bars(deciles, keep.mean(), palette, terms), key="row-deciles")
    with grid.cell():
        st.markdown("**This row in numbers**")
        bandwidth = None if explained is None else explained.bandwidth
        row_parts.numbers(tuned, base, keep, bandwidth, terms)
        links.page_link("matrix", "Show it in the matrix", icon=":material/grid_on:", matrix=name, row=row)
