"""Two or more runs side by side: who keeps what, where they agree, and what that costs.

The address: ``run`` is A, ``other`` is B, ``with`` more ids with commas between them; ``matrix``
and the window of the map (``r0 r1 c0 c1 row col layer``), ``by`` (role, block) of the bars and
``rows`` (number, overlap) of the chart of rows. An id may be that of a job that still makes its
run.
"""

from __future__ import annotations

import streamlit as st

from app.app_pages.compare import matrix as compare_matrix
from app.app_pages.compare import parts as compare_parts
from app.frame import state, theme
from app.parts import compare_runs, whole
from app.parts import peers as compare_peers
from kencore.errors import KencoreError
from kencore.words import compare as compare_words

with state.messages():
    run = state.current_run()
compare_runs.usual(run)
chosen = compare_runs.beside(run.id)
runs = [run, *chosen.runs]
found = None
thin = [one for one in runs if one.thin]
if chosen.runs and not thin:
    try:
        found = compare_parts.compared(runs)
    except KencoreError as error:
        st.title("These runs have nothing to compare")
        compare_runs.choose(run, chosen)
        compare_runs.watch(chosen)
        state.show_error(error)
        st.stop()
names = compare_words.labels(runs)
if thin and chosen.runs:
    told = f"{names[0]} and {names[1]}" if len(runs) == 2 else f"{len(runs)} runs"
    st.title(state.plain(f"{told}: quality side by side"))
elif found is None:
    st.title("Compare runs")
    st.caption("Choose a run to compare with the one in the sidebar, or run other rules at its budget.")
else:
    st.title(state.plain(compare_words.headline(names, found.overall(), compare_words.verb(runs))))
    st.caption(state.plain(f"A: {names[0]} · B: {names[1]}"))
compare_runs.choose(run, chosen)
compare_runs.watch(chosen)
if found is not None:
    palette = theme.palette()
    compare_parts.notes(found)
    compare_parts.verdicts(runs)
    compare_parts.who_keeps_what(found, names[:2], compare_words.verb(runs[:2]), palette)
    if len(runs) > 2:
        compare_parts.several(found, runs, palette)
    compare_parts.where_they_agree(found, palette, compare_matrix.open_matrix)
    line = compare_matrix.picture(runs[0], runs[1], found, names[:2])
    if line is not None:
        compare_matrix.rows(runs[0], runs[1], line, palette)
    compare_parts.quality(runs)
    compare_parts.settings(runs)
    compare_parts.matrices(found, runs)
if thin and chosen.runs:
    compare_parts.verdicts(runs)
    compare_parts.quality(runs)
    compare_parts.settings(runs)
    whole.missing(thin[0], "Which weights two runs share is told by their masks")
if run.thin:
    st.stop()
st.header("Other rules at the same budget")
compare_peers.offer(run, key="compare-peers")
