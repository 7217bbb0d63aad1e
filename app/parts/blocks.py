"""Small windows of one matrix in every block: how large, what they hold, what is said below."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from app.charts import cells, png
from app.charts.base import lines
from app.charts.png import Indices
from app.frame import links, state
from kencore.errors import CheckpointChangedError, SourceNotFoundError, ThinRunError
from kencore.views import damage
from kencore.views import tables as summaries
from kencore.views import window as views
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.runs.run import Run

SIDE: Final = 96  # cells along each side of a picture
COARSE: Final = 24  # the same of what was lost: fewer weights in a cell are mostly noise
PIXELS: Final = 192
WHOLE: Final = 1 << 22  # weights: of larger matrices the change is shown for a part
PART: Final = 512  # rows and columns of that part


@dataclass(frozen=True, slots=True)
class Pictures:
    """One picture per block; ``span`` is (rows, columns) shown, from the first ones on.

    ``present``: the least and the largest share of a cell. ``whole``: each matrix is one cell, as its weights
    are not there.
    """

    windows: list[views.Window | None]
    limit: float
    span: tuple[int, int]
    present: tuple[float, float] = cells.ALL
    whole: bool = False

    def ends(self, *, full: bool) -> tuple[float, float]:
        """Shares of the first and the last color."""
        return cells.ALL if full else self.present


def family_options(matrices: pd.DataFrame) -> dict[str, str]:
    """Families that recur in blocks, with what a person calls them: the role, and where several have it the part of
    the name that tells them apart.
    """
    table = summaries.families(matrices)
    roles = [wording.ROLES_EXPLAINED.get(role, role) for role in table["role"]]
    inside = [family.rpartition("*.")[2] for family in table["family"]]
    texts = _told_apart(roles, [f"{role}: {name}" for role, name in zip(roles, inside, strict=True)])
    texts = _told_apart(texts, [f"{role}: {name}" for role, name in zip(roles, table["family"], strict=True)])
    return {family: text[:1].upper() + text[1:] for family, text in zip(table["family"], texts, strict=True)}


def _told_apart(texts: list[str], longer: list[str]) -> list[str]:
    """The texts, the longer ones where two are the same."""
    times = Counter(texts)
    return [more if times[text] > 1 else text for text, more in zip(texts, longer, strict=True)]


def choose(matrices: pd.DataFrame, options: dict[str, str], family: str | None = None) -> None:
    """Which family; a choice goes into the address. Without one, what the address gets is new."""

    def open_family() -> None:
        first = summaries.family_blocks(matrices, st.session_state["layers_family"]).iloc[0]
        links.write(matrix=first["name"], **({"layer": None} if family is None else {}))

    st.session_state["layers_family"] = family
    st.selectbox(
        "Matrix",
        list(options),
        key="layers_family",
        format_func=options.__getitem__,
        on_change=open_family,
        index=None if family is None else 0,
        placeholder="Choose a matrix",
    )


def labels(blocks: pd.DataFrame) -> list[str]:
    """The name of each block of a family."""
    several = len(set(blocks["stack"])) > 1
    places = zip(blocks["block"], blocks["stack"], strict=True)
    return [wording.block_label(int(block), stack, several) for block, stack in places]


def pictures(run: Run, family: str, layer: str) -> Pictures:
    """Windows of every block of a family, read once per run and layer."""
    return _pictures(str(run.id), state.stamp(run.path), family, layer, _run=run)


@st.cache_resource(max_entries=24, show_spinner="Reading the blocks")
def _pictures(run_id: str, stamp: str, family: str, layer: str, *, _run: Run) -> Pictures:
    blocks, whole = summaries.family_blocks(_run.matrices, family), False
    try:
        windows = [_window(_run, line.name, line.status, layer) for line in lines(blocks)]
    except (SourceNotFoundError, CheckpointChangedError, ThinRunError):
        if layer != "lost":
            raise
        windows, whole = [_one_cell(line) for line in lines(blocks)], True
    largest = blocks.iloc[int(blocks["params"].argmax())]
    span = _span(int(largest["rows"]), int(largest["cols"]), layer)
    shown = [window.data for window in windows if window is not None] if layer in cells.SHARES else []
    present = damage.span(np.concatenate([data.ravel() for data in shown])) if shown else cells.ALL
    return Pictures(windows, _limit(windows, layer), span, present, whole)


def _one_cell(line: Any) -> views.Window | None:
    """A matrix as one cell, from the table alone."""
    if line.status != "pruned":
        return None
    sides = {"rows": (0, int(line.rows)), "cols": (0, int(line.cols)), "cell": (int(line.rows), int(line.cols))}
    lost = np.array([[line.diff_lost]], np.float32)
    return views.Window(layer="lost", data=lost, count=np.array([[int(line.kept)]]), **sides)


def _window(run: Run, name: str, status: str, layer: str) -> views.Window | None:
    if status != "pruned":
        return None
    rows, cols = _span(*run.shape(name), layer)
    if layer == "lost":
        coarse = views.cell_side(rows, COARSE), views.cell_side(cols, COARSE)
        return damage.lost_window(run, name, rows, cols, coarse)
    if run.thin and layer == "kept":
        return views.window(run, name, layer, cell=run.stored_cells.counts(name, run.shape(name))[0])
    cell = views.cell_side(rows, SIDE), views.cell_side(cols, SIDE)
    return views.window(run, name, layer, 0, rows, 0, cols, cell=cell)


def _span(rows: int, cols: int, layer: str) -> tuple[int, int]:
    if layer not in (*cells.VALUES, "lost") or rows * cols <= WHOLE:
        return rows, cols
    return min(rows, PART), min(cols, PART)


def _limit(windows: list[views.Window | None], layer: str) -> float:
    """The size that gets the strongest color: one for all blocks, so that they compare."""
    if layer not in cells.VALUES:
        return 1.0
    sizes = [float(np.abs(window.data).max()) for window in windows if window is not None]
    return max(sizes, default=0.0) or 1.0


def indices(found: Pictures, *, full: bool = False) -> list[Indices]:
    """Color indices of each picture, in the proportions of its matrix."""
    drawn = []
    for window in found.windows:
        if window is None:
            drawn.append(png.true_shape(cells.not_pruned(), found.span, found.span, PIXELS))
            continue
        shape = window.rows[1] - window.rows[0], window.cols[1] - window.cols[0]
        colors = cells.indices(window, found.limit, found.ends(full=full))
        drawn.append(png.true_shape(colors, shape, window.cell, PIXELS))
    return drawn


def below(blocks: pd.DataFrame, found: Pictures, layer: str, terms: wording.Terms) -> list[str]:
    """What is written under each picture: the number that belongs to the layer."""
    texts = []
    for line, window in zip(lines(blocks), found.windows, strict=True):
        if window is None:
            texts.append("not pruned")
        elif layer == "difference":
            coded = terms is wording.CODED  # what is not lost of a rounded change is on no list of weights
            said = (line.diff_lost, "lost") if coded else (line.diff_share_kept, "kept")
            texts.append(f"{wording.percent(said[0], 0)} of it {said[1]}")
        elif layer == "lost":
            texts.append(f"{wording.percent(line.diff_lost)} lost")
        elif layer == "neighbours":
            texts.append(f"{summaries.mean_neighbours(window):.2f} of 4")
        else:
            texts.append(f"{wording.short_percent(line.share)} {terms.done}")
    return texts


def finding(blocks: pd.DataFrame, found: Pictures, layer: str, terms: wording.Terms) -> str:
    """What the pictures show together."""
    pruned = blocks[blocks["status"] == "pruned"]
    where = wording.plural(len(blocks), "block")
    if pruned.empty:
        return f"This matrix was not pruned in any of {where}"
    if layer == "neighbours":
        means = [summaries.mean_neighbours(window) for window in found.windows if window]
        by_chance = 4 * float(pruned["share"].mean())
        span = _ends(f"{min(means):.2f}", f"{max(means):.2f}")
        return f"A {terms.done} weight has {span} {terms.done} neighbors, {by_chance:.2f} by chance"
    if layer == "lost":
        ends = wording.percent_range(float(pruned["diff_lost"].min()), float(pruned["diff_lost"].max()))
        what = "squared change" if terms.dense == "tuned" else "squared weights"
        return f"{_ends(*ends)} of the {what} lost in {where}"
    if layer in cells.VALUES:
        named = terms.dense if layer == "tuned" else layer
        low, high = pruned["diff_rms"].min(), pruned["diff_rms"].max()
        span = _ends(f"{low:.2g}", f"{high:.2g}")
        return {"difference": f"Fine-tuning moved weights by {span} (rms) in {where}"}.get(
            layer, f"{named.capitalize()} values of {where}, in one color scale"
        )
    low, high = float(pruned["share"].min()), float(pruned["share"].max())
    if wording.percent(low) == wording.percent(high):
        return f"{wording.short_percent(high)} of the weights {terms.done} in each of {where}"
    return f"{wording.percent(low)} to {wording.percent(high)} of the weights {terms.done} in {where}"


def _ends(low: str, high: str) -> str:
    """Two ends, or one number where both are shown the same."""
    return low if low == high else f"{low} to {high}"


def legend(found: Pictures, layer: str, shape: tuple[int, int], terms: wording.Terms) -> str:
    """What colors and cells mean, in one line."""
    window = next((window for window in found.windows if window is not None), None)
    if window is None:
        return ""
    height, width = window.cell
    cell = "One cell is one weight" if (height, width) == (1, 1) else (f"One cell is {height} × {width} weights")
    value = "the value" if window.cell == (1, 1) else "the value largest in size, with its sign"
    lost = "colored by the share of its squared change (or weights) that was lost"
    what = {
        "kept": f"colored by its {terms.done} share",
        "lost": lost,
        "neighbours": f"colored by {terms.done} neighbors, of 4",
    }.get(layer, f"colored by {value}")
    part = (
        ""
        if found.span == shape
        else (f" The first {found.span[0]:,} rows and {found.span[1]:,} columns of {shape[0]:,} × {shape[1]:,}.")
    )
    if found.whole:
        cell = "Without the weights: one color per matrix"
    thin = " Drawn thicker than it is." if min(shape) < png.THINNEST * max(shape) else ""
    return f"{cell}, {what}.{part}{thin} Rows down are outputs, columns are inputs. Click a picture to open the matrix."
