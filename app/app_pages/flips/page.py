"""Which answers pruning changed: every sentence, or token of a text, that the two models answer differently.

The address: ``run``, ``filter`` (which of them), ``job`` (what computes them) and ``text`` (a beginning that both
models continue).
"""

from __future__ import annotations

import streamlit as st

from app.app_pages.flips import ask, continued, parts
from app.frame import state, veil, verdict
from app.parts import flips as flips_parts
from app.parts import texts, whole
from kencore.words import flips as words
from kencore.words import run as facts

with state.messages():
    run = state.current_run()
found = ask.found(run)
waits = None if found is None else ask.waits(run)
st.title("Which answers pruning changed" if found is None or waits else state.plain(words.finding(found.facts)))
st.caption(state.plain(facts.subject(run.spec)))
verdict.show(run)
if not flips_parts.has_answers(run):
    st.caption("An encoder without a head gives no answers: its embeddings are compared on Overview.")
elif found is None and run.thin:
    whole.missing(run, "Its changed answers were not kept")
elif found is None:
    ask.compute(run)
else:
    with veil.over(waits, "flips"):
        parts.counts(found.facts)
        parts.lines(run, found)
    if not run.thin:
        ask.other_data(run)
if run.language:
    st.header("Both models continue a text")
    texts.kept(run)
    if run.thin:
        whole.missing(run, "Texts of your own take both models")
    else:
        continued.side_by_side(run)
