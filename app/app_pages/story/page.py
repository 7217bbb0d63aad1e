"""The story of a run for people who do not read matrices: what the model does, a guided zoom from the whole model to
one weight, what it cost, the verdict and what to do next.

The address: ``run``, ``step`` (1 and up, or the key of a step), ``present`` (1: nothing but the story), ``text`` (the
sentence of the first step), ``at``, ``row``, ``col`` (the weight that is zoomed into, as on the Map).
"""

from __future__ import annotations

import streamlit as st

from app.app_pages.story import pictures, place
from app.app_pages.story import stage as story_stage
from app.app_pages.story import zoom as story_zoom
from app.frame import links, state, theme
from kencore.errors import KencoreError
from kencore.views import example as telling
from kencore.views.guide import guide
from kencore.words import story

with state.messages():
    run = state.current_run()
try:
    at, row, col = place.target(run)
except KencoreError as error:
    state.show_error(error)
    at = row = col = None
try:
    example = telling.example(run, at, row, col)
except KencoreError as error:  # the checkpoint is gone: what needs no weights is told
    state.show_error(error)
    example = None
way = guide(run.matrices, at)
steps = story.steps(run, way, example)
try:
    number = place.step_number([step.key for step in steps], example, col)
    present = links.choice("present", ("0", "1"), "0") == "1"
except links.LinkError as error:
    state.show_error(error)
    number, present = 1, False

step = steps[number - 1]
with st.container(key="story_mode"):  # always there: what follows keeps its place, and the map its picture
    story_stage.present(present)
story_stage.stage([item.title for item in steps], number, on=present)
st.title(state.plain(step.title))
with st.container(key="story_words", gap="small"):
    for words in step.words if step.key != "next" else ():
        st.markdown(state.plain(words), width=980 if present else 760)
with st.container(key="story_picture"):
    if step.near is not None:
        story_zoom.show(run, step, way, example, bare=present)
    else:
        pictures.picture(step.key, run, theme.palette(), large=present)
