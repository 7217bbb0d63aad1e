"""The picture of each step of the story outside the zoom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.charts import explain as answers
from app.charts import named
from app.frame import links, verdict
from app.frame.draw import draw
from app.parts import explain as explain_parts
from app.parts import explain_ask, flips, texts
from kencore.views import flips as views
from kencore.words import numbers as wording
from kencore.words.story import CLEAR, advice

if TYPE_CHECKING:
    from app.charts.base import Chart
    from kencore.runs.run import Run
    from kencore.words.palette import Palette

LARGE: Final = 17  # letters of charts on a screen for many
ICONS: Final = {
    "overview": "dashboard",
    "tune": "tune",
    "recover": "healing",
    "flips": "swap_vert",
    "prune": "content_cut",
}
MORE: Final = (  # page, label, icon
    ("overview", "Everything about this run", "dashboard"),
    ("explain", "Explain a sentence", "psychology"),
    ("map", "The whole model", "map"),
    ("compare", "Beside another run", "compare"),
)


def picture(key: str, run: Run, palette: Palette, *, large: bool) -> None:
    """Draw what belongs to a step.

    Args:
        large: for a screen for many; nothing to save stands around it.
    """
    if key == "ask":
        _ask(run, palette, large)
    elif key == "next":
        _onward(run, large)
    elif key == "unmeasured":
        links.page_link("overview", "Measure it on the Overview", icon=":material/straighten:")
    elif key in CHARTS:
        _draw(CHARTS[key](run, palette), key, large)


def _draw(chart: Chart, key: str, large: bool) -> None:
    if large:
        figure = chart.figure.__class__(chart.figure)
        figure.update_layout(font={"size": LARGE}, height=round(1.25 * chart.figure.layout.height))
        chart = replace(chart, figure=figure)
    draw(chart, key=f"story-{key}", saves=not large)


def _ask(run: Run, palette: Palette, large: bool) -> None:
    if run.thin:
        texts.kept(run, 1)
        return
    clear = CLEAR["language" if run.language else "classification"]
    text = links.value("text") or clear
    explain_parts.sentence_form(text, clear)
    found = explain_ask.ask(run, text, key="story-ask")
    if found is None:
        _measured(run)
        return
    explain_parts.what_was_read(found)
    _draw(answers.answers(found.facts, palette, wording.TERMS[run.restore].dense), "answers", large)
    links.page_link("explain", "Why did it answer so?", icon=":material/psychology:", text=text)


def _measured(run: Run) -> None:
    """An answer that is known without asking: one of those that quality was measured on, as clear as there is."""
    found = flips.stored(run)
    clear = None if found is None else views.clearest(found.table)
    if found is None or clear is None:
        return
    st.caption("One of those that quality was measured on:")
    flips.examples(clear, found.facts, run)


def _named(name: str, **choices: Any) -> Callable[[Run, Palette], Chart]:
    return lambda run, palette: named.FIGURES[name](run, palette, **choices)


CHARTS: Final[dict[str, Callable[[Run, Palette], Chart]]] = {
    "cost": _named("quality", baselines=False),
    "baseline": _named("quality"),
    "tuned": _named("tuned"),
    "stored": _named("stored"),
}


def _onward(run: Run, large: bool) -> None:
    """The verdict, and what to do next."""
    verdict.show(run)
    st.header("What to do next")
    for one in advice(run):
        links.page_link(one.page, one.text, icon=f":material/{ICONS[one.page]}:", **one.params)
    if large:
        return
    st.caption("More of this run")
    with st.container(horizontal=True):
        for page, label, icon in MORE:
            links.page_link(page, label, icon=f":material/{icon}:")
