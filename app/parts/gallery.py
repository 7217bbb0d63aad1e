"""Cards of finished runs of real models: method, sparsity, verdict, each a link to its Overview."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal

import streamlit as st

from app.frame import links, state
from app.frame.to_top import to_top
from kencore.words import numbers as wording
from kencore.words.gallery import exhibit

if TYPE_CHECKING:
    from pathlib import Path

    from kencore.words.gallery import Exhibit

Color = Literal["green", "blue", "orange", "red"]
BADGES: Final[dict[str, Color]] = {"safe": "green", "unclear": "blue", "damaged": "orange", "ruined": "red"}
LOWER: Final = ", lower is better"


def show(current: str) -> None:
    """The gallery, a card for each model and way of pruning; nothing where no run ships.

    Args:
        current: the run of the page, which is no link.
    """
    found = exhibits()
    if not found:
        return
    to_top()
    st.header("Real models, already pruned")
    with st.container(key="gallery"):
        _cards(found, current)


def _cards(found: list[Exhibit], current: str) -> None:
    for about, of_model in groupby(found, key=lambda one: (one.title, one.measure, one.dense, one.data, one.about)):
        title, measure, dense, data, said = about
        lower = LOWER if measure == "perplexity" else ""
        st.markdown(f"**{state.plain(title)}** · {measure} on {state.plain(data)} by sparsity; {dense} dense{lower}")
        with st.grid(4, min_column_width=220, gap="small") as grid:
            for method, runs in groupby(of_model, key=lambda one: one.method):
                with grid.cell(), st.container(border=True, gap="small", height="stretch"):
                    st.markdown(state.plain(method))
                    for one in runs:
                        _line(one, current)
        st.caption(said)


def _line(one: Exhibit, current: str) -> None:
    said, judged = f"{wording.percent(one.sparsity, 0)} sparse", ""
    if one.verdict is not None:
        judged = f" :{BADGES[one.verdict.level]}-badge[{state.plain(f'{one.quality} {one.verdict.level}')}]"
    if one.id == current:
        with st.container(key=f"shown-{one.id}"):
            st.markdown(f":small[{said}]{judged} :small[shown]")
    else:
        links.page_link("overview", f"{said}{judged}", run=one.id)


def exhibits() -> list[Exhibit]:
    """Every run of the gallery, read once and again when its files change."""
    from kencore.runs.shelf import find_stored_run, gallery_ids

    names = [(name, find_stored_run(name)) for name in gallery_ids()]
    found = [_read(name, folder, state.stamp(folder)) for name, folder in names if not name.startswith("demo")]
    return sorted((one for one in found if one is not None), key=_order)


def _order(one: Exhibit) -> tuple[bool, str, str, float]:
    return one.measure != "perplexity", one.model, one.method, one.sparsity


@lru_cache(maxsize=64)
def _read(name: str, folder: Path, _stamp: str) -> Exhibit | None:
    return exhibit(name, folder)
