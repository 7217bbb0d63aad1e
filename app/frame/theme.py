"""The colours of every page: those of `kencore.words.palette`, in the theme that the browser shows."""

from __future__ import annotations

import streamlit as st

from kencore.words.palette import DARK, LIGHT, Palette


def palette() -> Palette:
    """The colours of the theme that the browser shows now (light where it has not said)."""
    return DARK if st.context.theme.type == "dark" else LIGHT
