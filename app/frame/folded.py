"""Sections of a page that are made when somebody opens them; the address names those that are open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import streamlit as st

from app.frame import links

NAME: Final = "open"  # in the address: names of sections, separated by commas


@contextmanager
def section(label: str, name: str, *, icon: str, wanted: bool = False) -> Iterator[bool]:
    """A folded section; yields whether it is open: only then its contents are to be drawn.

    Args:
        name: of the section in the address.
        wanted: open it though the address does not name it.
    """
    key = f"section-{name}"
    before = _open()
    st.session_state[key] = wanted or name in before

    def changed() -> None:
        now = [one for one in before if one != name] + ([name] if st.session_state[key] else [])
        links.write(**{NAME: ",".join(now) or None})

    with st.expander(label, key=key, icon=icon, on_change=changed) as box:
        yield bool(box.open)


def _open() -> list[str]:
    return [name for name in (links.value(NAME) or "").split(",") if name]
