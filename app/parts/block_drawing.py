"""The drawing of a block on a page: the part that is shown lights up, a click on another one goes to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import streamlit as st

from app.charts import block_drawing
from app.frame import links, theme

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

    from kencore.runs.run import Run

    Line = pd.Series[Any]

ART: Final = Path(__file__).resolve().parent


@cache
def _mount() -> ComponentRenderer:
    return st.components.v2.component(
        "kenviz.block_drawing",
        html='<div class="block"></div>',
        css=(ART / "block_drawing.css").read_text("utf-8"),
        js=(ART / "block_drawing.js").read_text("utf-8"),
    )


def draw(
    run: Run,
    here: Line | None,
    *,
    key: str,
    address: Callable[[str], str],
    go: Callable[[str], None],
    wide: bool = True,
    lit: bool = True,
) -> None:
    """Draw the block of a matrix, or the first one of the model; nothing where there are no blocks.

    Args:
        here: a line of the run's table, whose part lights up where ``lit``.
        address: the link to a matrix, by its name.
        go: shows a matrix on this page.
        wide: from left to right, else from top to bottom.
    """
    inside = run.matrices[run.matrices["block"].notna()]
    if inside.empty:
        return
    shown = here if here is not None and not pd.isna(here["block"]) else None
    one = inside.iloc[0] if shown is None else shown
    block = inside[(inside["block"] == one["block"]) & (inside["stack"] == one["stack"])]
    parts = block_drawing.parts_of(block)
    names = {part.role: part.name for part in parts}

    def clicked() -> None:
        role = st.session_state[key]["role"]
        if role in names:
            go(names[role])

    svg = block_drawing.drawing(
        parts,
        {role: address(name) for role, name in names.items()},
        theme.palette(),
        selected=str(shown["role"]) if lit and shown is not None else None,
        wide=wide,
    )
    _mount()(key=key, data={"svg": svg}, on_role_change=clicked)


def link_to(page: str, param: str, run: Run) -> Callable[[str], str]:
    """The address of a page that names a matrix in ``param``."""
    return lambda name: links.link(page, run=run.id, **{param: name})
