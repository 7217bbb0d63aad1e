"""How two models continue a text: what a run keeps of that, and both side by side."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.frame import state
from kencore.errors import KencoreError
from kencore.runs.texts import read_texts
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

_TEXT: Final = "white-space:pre-wrap;overflow-wrap:anywhere"


def kept(run: Run, most: int | None = None) -> None:
    """The texts that the run keeps, the first one open.

    Args:
        most: at most so many; ``None``: all.
    """
    try:
        found = read_texts(run.path)[:most]
    except KencoreError as error:
        state.show_error(error)
        return
    for number, one in enumerate(found):
        with st.expander(f"{state.plain(one.text)} …", expanded=number == 0):
            told = {"dense": list(one.dense), "pruned": list(one.pruned), "departs": one.departs, "cut": 0}
            show(told, wording.TERMS[run.restore].dense)


def show(found: dict[str, Any], dense: str) -> None:
    """Both continuations, the first departing token marked.

    Args:
        found: as `kencore.explain.continue_text` gives it.
        dense: what the dense model is called.
    """
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
