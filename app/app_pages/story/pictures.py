"""The picture of each step of the story."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from app.app_pages.story import walk as story_walk
from app.charts import explain as answers
from app.charts import named, row
from app.charts import story as charts
from app.frame import links, state
from app.frame.draw import draw
from app.parts import explain as explain_parts
from app.parts import explain_ask
from app.parts import row as row_parts
from kencore.methods.table import METHODS
from kencore.views import tables as summaries
from kencore.views.walk import walk_row
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from app.charts.base import Chart
    from kencore.runs.run import Run
    from kencore.views.example import Example
    from kencore.words.palette import Palette

LARGE: Final = 17  # letters of charts on a screen for many
ONWARD: Final = (  # page, label, icon
    ("overview", "Everything about this run", "dashboard"),
    ("explain", "Explain one sentence", "psychology"),
    ("map", "Walk over the whole model", "map"),
    ("matrix", "Look at its matrices", "grid_on"),
    ("tune", "Move the slider", "tune"),
    ("recover", "Win quality back", "healing"),
    ("tradeoff", "Quality against size", "stacked_line_chart"),
    ("compare", "Compare it with another run", "compare"),
    ("report", "Report to pass on", "description"),
)


def picture(key: str, run: Run, example: Example | None, palette: Palette, *, large: bool) -> None:
    """Draw what belongs to a step."""
    if key == "ask":
        _ask(run, palette, large)
    elif key == "row" and example is not None:
        _row(run, example)
    elif key == "next":
        _onward()
    elif key == "unmeasured":
        links.page_link("overview", "Measure it on the Overview", icon=":material/straighten:")
    elif key in CHARTS:
        chart = CHARTS[key](run, example, palette)
        _draw(chart, key, large)


def _draw(chart: Chart, key: str, large: bool) -> None:
    if large:
        figure = chart.figure.__class__(chart.figure)
        figure.update_layout(font={"size": LARGE}, height=round(1.25 * chart.figure.layout.height))
        chart = replace(chart, figure=figure)
    draw(chart, key=f"story-{key}")


def _ask(run: Run, palette: Palette, large: bool) -> None:
    example = explain_ask.example(run)
    text = links.value("text") or example
    explain_parts.sentence_form(text, example)
    found = explain_ask.ask(run, text, key="story-ask")
    if found is None:
        return
    explain_parts.what_was_read(found)
    _draw(answers.answers(found.facts, palette, wording.TERMS[run.restore].dense), "answers", large)
    links.page_link("explain", "Why did it answer so?", icon=":material/psychology:", text=links.value("text"))


def _row(run: Run, example: Example) -> None:
    with state.messages():
        found = row_parts.scores(run, example.matrix, example.tuned, example.base)
    score, what = found if found is not None else (None, "")
    walk = walk_row(example.tuned, example.keep, run.spec.method, score=score)
    name = f"{run.id} {example.matrix} {example.row}"
    axis = "how crowded (density)" if len(walk.curve_x) else what
    story_walk.draw_walk(walk, name, axis, run.restore)
    if walk.kind == "ranked" and METHODS[run.spec.method].activations:
        st.caption(
            "The scores are those of the finished model; the run ranked before this block was "
            "pruned, so the cut need not be sharp."
        )
    links.page_link("row", "This row in full", icon=":material/show_chart:", matrix=example.matrix, row=example.row)


def _named(name: str, **choices: Any) -> Callable[[Run, Example | None, Palette], Chart]:
    return lambda run, example, palette: named.FIGURES[name](run, palette, **choices)


def _weights(run: Run, example: Example | None, palette: Palette) -> Chart:
    assert example is not None
    return charts.two_weights(example, run.restore, palette)


def _tails(run: Run, example: Example | None, palette: Palette) -> Chart:
    assert example is not None
    deciles = summaries.distance_deciles(example.tuned, example.keep)
    return row.distance_bars(deciles, float(example.keep.mean()), palette)


CHARTS: Final[dict[str, Callable[[Run, Example | None, Palette], Chart]]] = {
    "changed": _named("cells", measure="diff_rms"),
    "kept": _named("cells", measure="share"),
    "weight": _weights,
    "depth": _named("depth"),
    "tails": _tails,
    "cost": _named("quality", baselines=False),
    "baseline": _named("quality"),
    "tuned": _named("tuned"),
    "stored": _named("stored"),
}


def _onward() -> None:
    for page, label, icon in ONWARD:
        if page in links.PAGES:
            links.page_link(page, label, icon=f":material/{icon}:")
