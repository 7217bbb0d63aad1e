"""The colours of every page: those of `kencore.palette`, in the theme that the browser shows."""

from __future__ import annotations

import streamlit as st

from kencore.palette import CATEGORICAL as CATEGORICAL
from kencore.palette import DARK as DARK
from kencore.palette import LIGHT as LIGHT
from kencore.palette import METHODS as METHODS
from kencore.palette import NEIGHBOURS as NEIGHBOURS
from kencore.palette import RUNS as RUNS
from kencore.palette import Colors as Colors
from kencore.palette import Palette as Palette


def palette() -> Palette:
    """The colours of the theme that the browser shows now (light where it has not said)."""
    return DARK if st.context.theme.type == "dark" else LIGHT
