"""The story of a run: about ten steps for people who do not read matrices, one picture each.

The address: ``run``, ``step`` (1 and up), ``present`` (1: nothing but the story), ``text`` (the
sentence of the first step).
"""

from __future__ import annotations

import streamlit as st

from app.app_pages.story import pictures as story_parts
from app.app_pages.story import stage as story_stage
from app.app_pages.story import words as story_words
from app.frame import links, state, theme
from kencore.errors import KencoreError
from kencore.views import example as telling

with state.messages():
    run = state.current_run()
try:
    example = telling.example(run)
except KencoreError as error:  # the checkpoint is gone: what needs no weights is told
    state.show_error(error)
    example = None
steps = story_words.steps(run, example)
try:
    number = links.number("step", low=1, high=len(steps)) or 1
    present = links.choice("present", ("0", "1"), "0") == "1"
except links.LinkError as error:
    state.show_error(error)
    number, present = 1, False

story_stage.present(present)
step = steps[number - 1]
story_stage.stage([item.title for item in steps], number, on=present)
st.title(state.plain(step.title))
for words in step.words:
    st.markdown(state.plain(words), width=980 if present else 760)
with st.container(key="story_picture"):
    story_parts.picture(step.key, run, example, theme.palette(), large=present)
