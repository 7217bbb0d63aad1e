"""A run at a glance: what was kept, what that cost, where it was kept, how to make it again."""

from __future__ import annotations

import streamlit as st

from app.app_pages.overview import cost as cost_parts
from app.frame import state, verdict
from kencore.views import tables as summaries
from kencore.words import run as facts

with state.messages():
    run = state.current_run()
total = summaries.totals(run.matrices)
stored = cost_parts.subnetwork_size(run) if run.spec.coded else None
st.title(state.plain(facts.headline(run.spec, total, run.metrics, stored)))
st.caption(state.plain(facts.subject(run.spec)))
verdict.show(run)

# the title is painted before Plotly is imported
from app.app_pages.overview import exports as export_parts  # noqa: E402
from app.app_pages.overview import flips as flips_part  # noqa: E402
from app.app_pages.overview import tables as overview_parts  # noqa: E402
from app.charts import model  # noqa: E402
from app.frame import choosing, folded, links, parts, theme  # noqa: E402
from app.frame.draw import csv_button, draw  # noqa: E402
from app.parts import colours, whole  # noqa: E402
from app.parts import gallery as gallery_parts  # noqa: E402
from app.parts import peers as compare_peers  # noqa: E402
from app.parts import quality as quality_parts  # noqa: E402
from kencore.runs.shelf import is_shipped  # noqa: E402
from kencore.views import damage  # noqa: E402
from kencore.words import numbers as wording  # noqa: E402
from kencore.words.findings import known_measures  # noqa: E402

usual = damage.usual(run.matrices, coded=run.spec.coded)
palette, terms = theme.palette(), wording.terms(run.spec.restore, coded=run.spec.coded)
if links.value("measure") == "diff_share_kept":  # links of 0.1.0: what is left of it is what was lost
    links.write(measure="diff_lost")
with state.messages():  # a bad address is said, not ignored
    cells = summaries.model_cells(colours.with_input_errors(run))
    known = known_measures(cells, terms)
    links.choice("measure", tuple(known), usual.measure)
    links.choice("range", colours.RANGES, colours.STRETCHED)
overview_parts.metric_row(run, total)
if why := facts.updated(run.spec):
    st.caption(why)
if tuned := run.record.get("tuned"):
    overview_parts.tuned_note(tuned)
st.caption(facts.in_play(total))
parts.notes(run.notes)


def open_cell(index: int) -> None:
    """Open the matrix of a cell of the map."""
    links.go("matrix", matrix=cells["name"].iloc[index])


with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
    st.header(f"Where weights were {terms.done}")
    measure = choosing.view(
        "measure", {name: what.label for name, what in known.items()}, usual.measure, label="Color by"
    )
    full = colours.choose_range(share=known[measure].share)
draw(model.model_map(cells, palette, measure, terms, full=full), key="model-map", point=open_cell)
colours.explain(known[measure], usual)
links.page_link("map", "Open the map" if run.thin else "Zoom in to single weights", icon=":material/map:")

with st.grid(2, min_column_width=440, gap="medium") as grid:
    with grid.cell():
        st.header("What it cost")
        quality_parts.what_it_cost(run, palette)
    with grid.cell():
        flips_part.what_changed(run)

if run.codes and stored is not None:
    st.header("Where the bytes went")
    cost_parts.where_bytes_went(run, palette)
if is_shipped(run.path):  # a person's own run is what they came for
    gallery_parts.show(run.id)
if "dense" in run.metrics:
    with folded.section("Every figure, with its interval", "figures", icon=":material/straighten:") as is_open:
        if is_open:
            quality_parts.figures(run)
with folded.section("Weights by role", "roles", icon=":material/bar_chart:") as is_open:
    if is_open:
        draw(model.role_bars(summaries.by_role(run.matrices), palette, terms), key="roles")
        csv_button(
            lambda: facts.matrices_csv(run.matrices),
            f"{run.id}-matrices",
            key="matrices-csv",
            label="All matrices as CSV",
        )
with folded.section("Outside the blocks, and what was not pruned", "outside", icon=":material/table_rows:") as is_open:
    if is_open:
        overview_parts.outside_table(run)
        overview_parts.untouched_table(run.matrices)
if not run.thin:
    with folded.section("Other rules at the same budget", "rules", icon=":material/compare_arrows:") as is_open:
        if is_open:
            compare_peers.offer(run, key="overview-peers")
with folded.section("Size, compute and speed", "size", icon=":material/speed:") as is_open:
    if is_open:
        cost_parts.size_compute_speed(run)
with folded.section("How this run was made", "made", icon=":material/terminal:") as is_open:
    if is_open:
        overview_parts.how_made(run)
if run.thin:
    st.header("All of this run")
    whole.missing(run)
else:
    taking = any(map(links.value, ("export", "report", "beside")))
    with folded.section("Export", "export", icon=":material/download:", wanted=taking) as is_open:
        if is_open:
            export_parts.take_along(run)
