"""All runs of the store as a table that can be sorted: to open, compare, rename, tag and delete.

The address: ``tag`` (only runs with it).
"""

from __future__ import annotations

import streamlit as st

from app.app_pages.runs import parts
from app.frame import state
from kencore.words import run_list

with state.messages():
    runs = state.runs()
title = st.empty()
lines = run_list.lines(parts.newest([run for run in runs if run.problem is None]))
title.title(parts.title(lines))
shown = parts.tagged(lines)
picked = parts.table(shown)
if picked:
    parts.change(picked, parts.tags_of(lines))
elif lines:
    st.caption("Choose rows at their left edge to open, compare, rename, tag or delete runs. A heading sorts.")
parts.broken([run for run in runs if run.problem])
