"""Tune what a run kept, with its mask held: watch it learn, and see what that won back.

In the address: every setting by its name in `RecoverSpec` (see `app.forms.recover`), and ``job``,
the tuning that is shown.
"""

from __future__ import annotations

import streamlit as st

from app.app_pages.recover import parts as recover_parts
from app.forms import recover as recover_form
from app.frame import links, state, theme
from app.jobs import submit as submitting
from app.parts import whole
from kencore.errors import KencoreError
from kencore.words import run as facts

with state.messages():
    run = state.current_run()
    told = run.tuning
whole.needs(run, "Recover what pruning lost", "Training starts from its weights")
palette = theme.palette()
heading = st.header if told is None else st.subheader  # the form of a tuned run is a part of it
st.title(state.plain(recover_parts.title(run)))
st.caption(state.plain(facts.subject(run.spec)))
if told is not None:
    recover_parts.outcome(run, palette)
    st.header("Recover again")
else:
    st.caption("Trains the kept weights to win quality back; pruned weights stay as they are. The result is a new run.")
made = None
for wrong in recover_form.fill_in(run):
    state.show_error(wrong)
with st.grid(2, min_column_width=420, gap="medium") as grid:
    with grid.cell():
        settings = recover_form.settings(run, heading)
    with grid.cell():
        heading("Run", icon=":material/play_arrow:")
        recover_parts.what_it_will_be(run)
        try:
            if st.button("Start recovery", type="primary", icon=":material/play_arrow:", width="stretch"):
                links.write(job=submitting.tune(settings))
        except KencoreError as error:
            state.show_error(error)
        if (job := links.value("job")) is not None:
            made = recover_parts.watch(job, palette)
        else:
            st.caption(
                "Runs in the background; you may close this page. If it stops, the same settings continue from "
                "the last checkpoint."
            )
if made is None and told is None and links.value("job") is None:
    made = recover_parts.made_before(run)
if made is not None and made.id != run.id:
    st.header(state.plain(recover_parts.title(made)))
    recover_parts.outcome(made, palette, st.subheader)
