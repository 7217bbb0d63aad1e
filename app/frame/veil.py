"""A veil over parts of a page that are not up to date, with what they wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st


@contextmanager
def over(waits: str | None, key: str) -> Iterator[None]:
    """Draw what follows faded (`page.css`), below a line that says what it waits for; ``None``: as it is."""
    if waits is None:
        yield
        return
    st.caption(f":material/hourglass: {waits}")
    with st.container(key=f"veiled-{key}"):
        yield
