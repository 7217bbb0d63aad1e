"""A beginning of a text, and how the dense and the pruned model go on, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from app.frame import links, state
from app.jobs import question
from app.jobs import submit as submitting
from app.parts import explain_ask, texts
from kencore.errors import KencoreError
from kencore.explain import LONGEST_TEXT, ContinueSpec
from kencore.jobs import answer_in
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run


def side_by_side(run: Run) -> None:
    """The form, and what both models made of what was typed."""
    text = links.value("text")
    st.session_state["flips_text"] = text or explain_ask.example(run)

    def asked() -> None:
        typed = str(st.session_state["flips_text"] or "")
        question.allow(typed)
        links.write(text=typed if typed.strip() else None)

    with st.form("continue_form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("The beginning of a text", key="flips_text", max_chars=LONGEST_TEXT, width="stretch")
        st.form_submit_button("Continue", type="primary", icon=":material/send:", on_click=asked)
    if text is None:
        st.caption("Both models add the 40 likeliest tokens one by one; the first that differs is marked.")
        return
    found = _ask(run, text)
    if found is not None:
        texts.show(found, wording.TERMS[run.restore].dense)


def _ask(run: Run, text: str) -> dict[str, Any] | None:
    """The answer; while there is none, how far it is, or why it cannot be asked."""
    try:
        spec = ContinueSpec(run=run.id, text=text)
        name = explain_ask.request("continue", run, spec)
        folder = question.ask(name, lambda: submitting.continued(spec, name), "continue", about=text, wait=_wait)
        if folder is None:
            return None
        return answer_in(folder)
    except KencoreError as error:
        state.show_error(error)
        return None


def _wait() -> None:
    st.caption("Both models go on with this text on your click.")
