"""Quality against size: many prunings of one model, measured on the same data.

In the address: ``sweep`` and how it is drawn; with ``view=bytes`` every measured run by the size of its file; with
``view=new`` every setting of a new sweep by its name in `SweepSpec`, see `app.forms.sweep`.
"""

from __future__ import annotations

import streamlit as st

from app.app_pages.tradeoff import by_bytes
from app.app_pages.tradeoff import parts as tradeoff_parts
from app.app_pages.tradeoff import sweeps as tradeoff_sweeps
from app.forms import sweep as tradeoff_form
from app.forms.sweep import FORM
from app.frame import choosing, links, state
from kencore.sweeps.shelf import list_sweeps

VIEWS = {"curve": "Sweeps", "new": "New sweep", "bytes": "Bytes"}


ALONG: dict[str, dict[str, str | None]] = {"curve": FORM.nothing(), "new": {**FORM.last()}, "bytes": FORM.nothing()}


def new_sweep() -> None:
    """The form, filled in as the address says, and its plan beside it."""
    for wrong in tradeoff_form.fill_in():
        state.show_error(wrong)
    settings, place = tradeoff_form.new_sweep()
    with place:
        tradeoff_form.plan(settings)


st.title("How small before it breaks")
with state.messages():
    sweeps = list_sweeps()
    shown = tradeoff_sweeps.shown(sweeps)
    if shown is None and links.value("view") != "bytes":
        tradeoff_parts.nothing_yet()
        new_sweep()
        st.stop()
    links.restore("sweep")
    view = choosing.view("view", VIEWS, "curve", label="View", along=ALONG)
if view == "bytes":
    FORM.leave()
    by_bytes.show()
elif view == "new":
    new_sweep()
elif shown is not None:
    FORM.leave()
    tradeoff_sweeps.choose(sweeps, shown)
    tradeoff_parts.results(shown, listed=shown in {found.id for found in sweeps})
