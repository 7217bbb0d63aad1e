"""Live tuning: sliders for how much is kept, the open matrix repainted at every move.

Address: ``run``, ``matrix`` and the map's own (r0 r1 c0 c1 row col layer reset); ``keep`` (a share),
``k`` or ``bits`` (per weight, of coded differences), ``rule``, ``eq`` (the balance: ``q*1.5~b2*0.5``),
and of NeuroAL ``slope`` and ``spread``.
"""

from __future__ import annotations

from typing import Final

import streamlit as st

from app import viewer
from app.app_pages.tune import jobs as tune_jobs
from app.app_pages.tune import parts as tune_parts
from app.app_pages.tune import strip as tune_strip
from app.frame import links, state, theme
from app.jobs import submit as submitting
from app.parts import matrix as matrix_parts
from app.parts import whole
from kencore.live import setting as retune
from kencore.live.ranking import why_not_live
from kencore.live.setting import Setting
from kencore.words import matrices

with state.messages():
    run = state.current_run()
whole.needs(run, "Adjust", "Other settings start from single weights, which are not part of it")
line = matrix_parts.matrix_or_choice(run)
name = str(line["name"])
pruned = line["status"] == "pruned"
palette = theme.palette()
NOTHING: Final = ""  # a matrix that was not pruned has no picture to wait for


@st.fragment(key="tune")
def page() -> None:
    """All of it: a move of a slider runs this alone."""
    with st.container(key="late-title"):
        place = st.empty()
    try:
        setting = tune_parts.asked_setting(run)
    except links.LinkError as error:
        state.show_error(error)
        st.caption("The run's own setting is shown instead.")
        setting = retune.own_setting(run)
    place.title(state.plain(tune_parts.title(run, setting)))
    reason = why_not_live(run, setting, name) if pruned else None
    due = tune_parts.waits_for(reason) if pruned else NOTHING
    tune_strip.strip(run, name, setting, due=due, on_rest=lambda: tune_parts.take_rest(run))
    matrix_parts.choose(run.matrices, line)
    with st.grid(3, min_column_width=230, gap="small") as grid:
        with grid.cell(column_span=2):
            the_map(setting, reason)
        with grid.cell():
            with st.container(border=True, gap="small", key="late-measured"):
                tune_parts.measuring(run, setting)
            with st.container(border=True, gap="small"):
                tune_parts.history(run, setting, palette)
    tune_parts.same_as_a_command(run, setting)


def the_map(setting: Setting, reason: str | None) -> None:
    """The open matrix at the setting."""
    if not pruned:
        st.info(f"This matrix was not pruned: {state.plain(str(line['reason']))}. Choose another one above.")
        return
    try:
        view = matrix_parts.view_of(line, run.restore, coded=run.spec.coded)
    except links.LinkError as error:
        state.show_error(error)
        view = viewer.View(layer=matrix_parts.usual_layer(run.spec.coded))
    query: dict[str, str] = {}
    waits: str | None = None
    known = tune_jobs.find(run, setting)
    own = setting == retune.own_setting(run)
    if reason is None and not own:
        query = {"live": setting.text}
    elif not own and known is not None and tune_jobs.result(known.job) is not None:
        query = {"made": known.job}
    elif not own:
        waits = tune_parts.waits_for(reason)
    source = viewer.source(run, matrices.title(line, run.matrices), line, query=query)
    viewer.weight_map([source], view, key=matrix_parts.MAP, due=viewer.Due(setting=setting.text, words=waits))


if pruned and why_not_live(run, retune.own_setting(run), name) is not None:
    submitting.get_ready()  # only a worker knows what another setting keeps
page()
