"""Choose a model and a method, see what was found, start a job and watch it.

In the address: every setting by its name in `PruneSpec` (see `app.forms.prune`), ``job`` and
``inspect``, the jobs that are shown.
"""

from __future__ import annotations

import streamlit as st

from app.app_pages.prune import found as inspect_view
from app.forms import model
from app.forms import prune as prune_form
from app.frame import links, state
from app.jobs import lists, panel
from app.jobs import submit as submitting
from kencore.errors import KencoreError

st.title("Prune a model")
st.caption(
    "Every weight of a model is either kept, or put back to the value it had in the base model, or "
    "set to zero. Choose who decides, and how many stay."
)
for wrong in prune_form.fill_in():
    state.show_error(wrong)
with st.grid(2, min_column_width=420, gap="medium") as grid:
    with grid.cell():
        subject = model.models()
        inspect = st.button("Inspect", icon=":material/search:", help="Reads headers, and the data if you chose some")
        settings = prune_form.settings(subject)
    with grid.cell():
        st.header("Run", icon=":material/play_arrow:")
        started = st.button("Start pruning", type="primary", icon=":material/play_arrow:", width="stretch")
        try:
            if started:
                links.write(job=submitting.start(settings))
            if inspect:
                links.write(inspect=submitting.inspect(subject.fields, settings["evaluation"]))
        except KencoreError as error:
            state.show_error(error)
        if (job := links.value("job")) is not None:
            panel.show(job)
        else:
            st.caption(
                "It runs in a process of its own: you may close this page and come back. Nothing leaves this machine."
            )
        st.header("What was found", icon=":material/search:")
        if (found := links.value("inspect")) is not None:
            inspect_view.findings(found)
        else:
            st.caption(
                "Inspect reads the headers and says what the model is made of, what can be "
                "pruned, and what it will cost, before anything is loaded."
            )
        with state.messages():
            lists.draw()
