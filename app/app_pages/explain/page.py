"""One sentence through the models of a run: other answers, where paths part, which weights did it.

The address: ``run``, ``text`` (the sentence), ``matrix`` or ``block`` (where to look), ``neuron``
(a row of the matrix) and ``token`` (its place in the sentence).
"""

from __future__ import annotations

import streamlit as st

from app.frame import links, state, theme
from app.parts import explain as explain_parts
from app.parts import explain_ask, whole
from app.parts import flips as flips_parts
from kencore.words import numbers as wording
from kencore.words import run as facts

with state.messages():
    run = state.current_run()
whole.needs(run, "Explain one sentence", "Explaining an answer takes both models")
terms = wording.TERMS[run.restore]
example = explain_ask.example(run)
text = links.value("text") or example
head = st.container()
explain_parts.sentence_form(text, example)
flips_parts.pick(run, text)
found = explain_ask.ask(run, text)
with head:
    st.title(explain_parts.title(found, terms.dense))
    st.caption(state.plain(facts.subject(run.spec)))
if found is None:
    st.stop()

palette = theme.palette()
explain_parts.what_was_read(found, flips_parts.truth(run, text))
explain_parts.answers(found, run, palette)
st.header("Where the models diverge")
explain_parts.where_paths_part(found, terms.dense, palette)
st.header("Which weights caused it")
explain_parts.one_neuron(found, run, palette)
