"""A run's charts by name: what a notebook asks for with ``run.figure(name)``, and the story draws.

The package names `figure` as its entry point ``kencore.figures``: the library finds it there, and never imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import plotly.graph_objects as go

from app.charts import depth, matrix_map, model, perplexity, quality, row, search, tuning
from app.charts import story as story_charts
from app.charts.base import Chart
from kencore.errors import FigureError
from kencore.views import damage, sparsity
from kencore.views import tables as summaries
from kencore.words import numbers as wording
from kencore.words.palette import LIGHT, RUNS, Palette

if TYPE_CHECKING:
    from kencore.runs.run import Run


def figure(run: Run, name: str, **choices: Any) -> go.Figure:
    """A chart of a run, with its finding as the title.

    Args:
        name: a key of `FIGURES`.
        choices: what that figure may be told, such as ``matrix="encoder.layer.0..."``.

    Raises:
        FigureError: no such figure, nothing to draw in this run, or a choice that it does not take.
        MatrixNotFoundError: no such matrix.
    """
    if name not in FIGURES:
        raise FigureError(
            f"figure {name!r}", got="no such figure", wanted=" or ".join(FIGURES), remedy="Choose one of these names."
        )
    try:
        drawn = FIGURES[name](run, choices.pop("palette", LIGHT), **choices)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise FigureError(
            f"figure {name!r}",
            got=str(error).rpartition(") ")[2] or str(error),
            wanted="choices that this figure takes",
            remedy="Leave it out, or see docs: `run.figure`.",
        ) from error
    found = go.Figure(drawn.figure)
    top = (found.layout.margin.t or 0) + 48
    found.update_layout(
        title={"text": drawn.finding, "x": 0, "xanchor": "left", "font": {"size": 15}},
        margin={"t": top},
        height=(found.layout.height or 400) + 48,
    )
    return found


def cells(run: Run, palette: Palette, measure: str | None = None, full: bool = False) -> Chart:
    """Every block and role as a cell; by default what differs most, see `damage.usual`."""
    shown = measure or damage.usual(run.matrices).measure
    table = summaries.model_cells(damage.with_input_errors(run.matrices, damage.input_errors(run)))
    return model.model_map(table, palette, shown, wording.terms(run.restore, coded=run.spec.coded), full=full)


def roles(run: Run, palette: Palette) -> Chart:
    """What each role holds, kept and not kept."""
    return model.role_bars(summaries.by_role(run.matrices), palette, wording.terms(run.restore, coded=run.spec.coded))


def by_depth(run: Run, palette: Palette) -> Chart:
    """Sparsity of each block."""
    blocks = sparsity.by_block(run.matrices)
    if blocks.empty:
        raise _nothing(run, "depth", "nothing inside blocks was pruned")
    totals = run.totals
    target = totals["reset"] / totals["pruned"]
    drawn = depth.Depth(label=run.id, color=RUNS[0], symbol="circle", blocks=blocks, target=target)
    return depth.block_bars(drawn, palette)


def measured(run: Run, palette: Palette, baselines: bool = True) -> Chart:
    """Quality before and after, and of the other rules where they were measured."""
    found = run.metrics if baselines else run.metrics | {"baselines": {}}
    if "dense" not in found:
        raise _nothing(run, "quality", "its quality was not measured")
    if found.get("task") == "language":
        return perplexity.perplexity_dots(found, run.spec.method, palette)
    return quality.quality_dots(found, run.spec.method, palette)


def searched(run: Run, palette: Palette) -> Chart:
    """What the search for an allocation saw of its candidates."""
    trace = run.trace or {}
    for step, what in (("block_search", "Block search"), ("row_search", "Row search")):
        if trace.get(step):
            return search.search_curve(trace[step], step, what, RUNS[0], palette)
    raise _nothing(run, "search", "its allocation searched for nothing")


def tuned(run: Run, palette: Palette) -> Chart:
    """Loss while the pruned model was trained again."""
    if run.tuning is None:
        raise _nothing(run, "tuned", "it was not tuned after pruning")
    return tuning.curve(run.tuning["curve"], palette, best=run.tuning["best_step"])


def stored(run: Run, palette: Palette) -> Chart:
    """Bytes of what has to be stored, beside the dense model's."""
    return story_charts.stored(summaries.totals(run.matrices), run.restore, palette)


def kept_map(run: Run, palette: Palette, matrix: str | None = None) -> Chart:
    """The kept weights of one matrix, by cells of at most 512 x 512; the largest pruned one by default."""
    name = matrix or _largest(run)
    return matrix_map.kept_map(run.overview(name), name, run.shape(name), run.overview_cell(name), palette)


def one_row(run: Run, palette: Palette, matrix: str | None = None, row_number: int = 0, by_value: bool = True) -> Chart:
    """Every weight of one row, kept and not kept."""
    name = matrix or _largest(run)
    rows = run.shape(name)[0]
    if not 0 <= row_number < rows:
        raise FigureError(
            f"row {row_number} of {name}",
            got=f"a matrix of {rows:,} rows",
            wanted=f"a row from 0 to {rows - 1:,}",
            remedy="Choose another row.",
        )
    at = slice(row_number, row_number + 1)
    keep = run.keep(name, at)[0]  # first: a run without masks says so, whether or not its model is here
    chart = row.row_values(
        run.values(name, "tuned", at)[0],
        keep,
        palette,
        by_value=by_value,
        terms=wording.terms(run.restore, coded=run.spec.coded),
        base=run.values(name, "base", at)[0] if run.restore == "base" else None,
    )
    return replace(chart, finding=f"{name}, row {row_number:,}: {chart.finding}")


def _largest(run: Run) -> str:
    pruned = run.matrices[run.matrices["status"] == "pruned"]
    if pruned.empty:
        raise _nothing(run, "map", "nothing was pruned")
    return str(pruned.sort_values("params", ascending=False, kind="stable")["name"].iloc[0])


def _nothing(run: Run, name: str, why: str) -> FigureError:
    return FigureError(
        f"figure {name!r} of run {run.id}",
        got=why,
        wanted="a run that has it",
        remedy="Choose another figure, or another run.",
    )


FIGURES: Final[Mapping[str, Callable[..., Chart]]] = {
    "cells": cells,
    "roles": roles,
    "depth": by_depth,
    "quality": measured,
    "search": searched,
    "tuned": tuned,
    "stored": stored,
    "map": kept_map,
    "row": one_row,
}
