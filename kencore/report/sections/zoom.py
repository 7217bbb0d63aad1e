"""From the whole model to one weight, and why it is so at each level: the guided zoom of the app, in words."""

from __future__ import annotations

from typing import Final

from kencore.errors import KencoreError
from kencore.report.content import Section, Table
from kencore.runs.run import Run
from kencore.views.example import example
from kencore.views.guide import guide
from kencore.words import zoom as words

LEVELS: Final = {
    "model": "Model",
    "block": "Block",
    "matrix": "Matrix",
    "row": "Row",
    "kept": "Kept weight",
    "gone": "Other weight",
}


def zoom(run: Run) -> Section | None:
    """The levels one by one; those of weights only where they can be read; ``None`` where no matrix was pruned."""
    way = guide(run.matrices)
    if way.matrix is None:
        return None
    try:
        one = example(run)
    except KencoreError:  # the checkpoint is gone
        one = None
    rows = []
    for step in words.zoom(run, way, one):
        said = step.words[1:] if step.near == "model" else step.words  # the first is about the app's map
        rows.append((LEVELS[step.key], f"{step.title}.", " ".join(said)))
    table = Table(
        name="zoom",
        caption="Into what lost most, level by level" if way.blocks_differ else "Into the middle, level by level",
        columns=("Level", "What is seen", "Why"),
        rows=tuple(rows),
    )
    return Section(name="zoom", title="From the model to one weight", blocks=(table,))
