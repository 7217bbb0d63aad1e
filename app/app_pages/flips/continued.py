"""A beginning of a text, and how the dense and the pruned model go on, token by token."""

from __future__ import annotations

import json
import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.frame import links, state
from app.jobs import question
from app.jobs import submit as submitting
from app.parts import explain_ask
from kencore.errors import KencoreError
from kencore.explain import LONGEST_TEXT, ContinueSpec
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

_TEXT: Final = "white-space:pre-wrap;overflow-wrap:anywhere"


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
        _show(found, wording.TERMS[run.restore].dense)


def _ask(run: Run, text: str) -> dict[str, Any] | None:
    """The answer; while there is none, how far it is, or why it cannot be asked."""
    try:
        spec = ContinueSpec(run=run.id, text=text)
        name = explain_ask.request("continue", run, spec)
        folder = question.ask(name, lambda: submitting.continued(spec, name), "continue", about=text, wait=_wait)
        if folder is None:
            return None
        found: dict[str, Any] = json.loads((folder / "result.json").read_text("utf-8"))
        return found
    except KencoreError as error:
        state.show_error(error)
        return None


def _wait() -> None:
    st.caption("Both models go on with this text on your click.")


def _show(found: dict[str, Any], dense: str) -> None:
    departs = found["departs"]
    if departs is None:
        st.markdown(f"**Both models add the same {wording.plural(len(found['dense']), 'token')}**")
    elif departs:
        st.markdown(f"**The models part after {wording.plural(departs, 'token')}**")
    else:
        st.markdown("**The models part at the first token**")
    with st.grid(2, min_column_width=320, gap="small"):
        for side, name in (("dense", dense.capitalize()), ("pruned", "Pruned")):
            with st.container(border=True, height="stretch"):
                st.caption(name)
                st.html(_marked(found[side], departs))
    cut = f" The first {found['cut']:,} tokens of the beginning were not read." if found["cut"] else ""
    st.caption(f"The likeliest token each time; marked: where the two part.{cut}")


def _marked(pieces: list[str], departs: int | None) -> str:
    """The text as it is, with its first departing token marked."""
    if departs is None:
        return f'<div style="{_TEXT}">{_seen("".join(pieces))}</div>'
    first, rest = _seen("".join(pieces[:departs])), _seen("".join(pieces[departs + 1 :]))
    mark = _seen(pieces[departs]) if departs < len(pieces) else "(the end)"
    return f'<div style="{_TEXT}">{first}<mark>{mark}</mark>{rest}</div>'


def _seen(text: str) -> str:
    """Ends of lines, and spaces that are all there is for a while, are seen."""
    dots = re.sub(" {4,}", lambda spaces: "·" * len(spaces.group()), escape(text))
    return dots.replace("\n", "⏎\n")
