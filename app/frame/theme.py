"""The colours of every page: those of `kencore.words.palette`, in the theme that the browser shows."""

from __future__ import annotations

import streamlit as st

from kencore.words.palette import CATEGORICAL as CATEGORICAL
from kencore.words.palette import DARK as DARK
from kencore.words.palette import LIGHT as LIGHT
from kencore.words.palette import METHODS as METHODS
from kencore.words.palette import NEIGHBOURS as NEIGHBOURS
from kencore.words.palette import RUNS as RUNS
from kencore.words.palette import Colors as Colors
from kencore.words.palette import Palette as Palette


def palette() -> Palette:
    """The colours of the theme that the browser shows now (light where it has not said)."""
    return DARK if st.context.theme.type == "dark" else LIGHT
