"""Small pieces that several pages draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from html import escape

import streamlit as st

from app.frame import state

MOST_OPEN = 3  # notes; more are folded

_LIST = "display:grid;gap:.28rem;font-size:.87rem;margin:0;padding:0"
_LINE = "display:flex;justify-content:space-between;gap:.8rem"
_NAME = "margin:0;padding:0;opacity:.78;font-weight:400"
_VALUE = "margin:0;padding:0;text-align:right;font-variant-numeric:tabular-nums"


def told_apart(labels: dict[str, str]) -> dict[str, str]:
    """Labels by id, those that are not the only one of their kind with their id added.

    A select box tells its options apart by what they say.
    """
    seen = Counter(labels.values())
    return {key: label if seen[label] == 1 else f"{label} ({key})" for key, label in labels.items()}


def pairs(lines: Iterable[tuple[str, str]]) -> None:
    """Names and values in two columns, closer together than a table; text, not markup."""
    body = "".join(
        f'<div style="{_LINE}"><dt style="{_NAME}">{escape(name)}</dt><dd style="{_VALUE}">{escape(value)}</dd></div>'
        for name, value in lines
    )
    st.html(f'<dl style="{_LIST}">{body}</dl>')


def notes(said: Collection[str]) -> None:
    """What a person should know, a line each; folded where it is much. Text, not markup."""
    lines = [f":material/info: {state.plain(note)}" for note in said]
    with st.expander(f"{len(lines)} notes", icon=":material/info:") if len(lines) > MOST_OPEN else st.container():
        for line in lines:
            st.caption(line)
