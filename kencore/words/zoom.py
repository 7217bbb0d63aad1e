"""The guided zoom in words: model, block, matrix, row, weight; at each level what is seen, and why it is so.

Pure: it reads a run's numbers and says nothing that the run does not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import pandas as pd

from kencore.allocate.table import UNIFORM, allocation_label
from kencore.methods.table import METHODS, method_label
from kencore.views import damage
from kencore.views import tables as summaries
from kencore.views.guide import differ
from kencore.views.why import why
from kencore.words import matrices
from kencore.words import numbers as wording
from kencore.words import why as reasons
from kencore.words.extremes import ends

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.example import Example
    from kencore.views.guide import Guide

Near = Literal["model", "block", "matrix", "row", "weight"]
LEVELS: Final = ("model", "block", "matrix", "row", "kept", "gone")
"""Keys of the steps of the zoom, in order."""
_TAILS: Final = 0.2  # by which the outermost tenth of a row must differ from the innermost to be spoken of
_TENTHS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the story.

    Attributes:
        key: says which picture it has.
        title: a finding.
        words: sentences of plain text.
        near: of the zoom: how close the camera is; else ``None``.
        matrix, row, col: where it looks, as far as it is that close.
    """

    key: str
    title: str
    words: tuple[str, ...]
    near: Near | None = None
    matrix: str | None = None
    row: int | None = None
    col: int | None = None


def zoom(run: Run, way: Guide, example: Example | None) -> tuple[Step, ...]:
    """The steps from the model to single weights, as far as the run has them.

    Args:
        way: `kencore.views.guide.guide`.
        example: `kencore.views.example.example` of the same matrix; ``None`` where its weights cannot be read.
    """
    found = [_model(run, way)]
    if way.matrix is not None:
        found += [_block(run, way)] if way.block is not None else []
        found.append(_matrix(run, way))
    if example is not None:
        found.append(_row(run, example))
        found += _weights(run, example)
    return tuple(found)


# --- the whole model ---------------------------------------------------------------------------


def _model(run: Run, way: Guide) -> Step:
    total, name = summaries.totals(run.matrices), _name(run)
    gone = total.pruned - total.kept_pruned
    share = wording.short_percent(gone / total.pruned) if total.pruned else "none"
    many = f"{share} of {wording.count(total.pruned)} weights"
    if run.restore == "base":
        title = f"{name} put {many} back"
        lost = f" and lost {wording.percent(way.lost, 0)} of what fine-tuning changed"
    else:
        title = f"{name} set {many} to zero"
        lost = f", and {wording.percent(way.lost, 0)} of their strength went with them"
    why_so = list(_shares(run))
    if way.known:
        title += lost
        why_so.append(f"{_against_lots(way)}{_after(run)}")
    return Step(
        key="model", title=title, words=(_colours(run, way), *([" ".join(why_so)] if why_so else [])), near="model"
    )


def _name(run: Run) -> str:
    """The rule, and what shared sparsity out, in few words."""
    by = f" with {_allocation(run)}" if run.spec.allocation != UNIFORM else ""
    return f"{method_label(run.spec.method)}{by}"


def _allocation(run: Run) -> str:
    return allocation_label(run.spec.allocation)


def _colours(run: Run, way: Guide) -> str:
    cell = "Each line is a block of the model, and each cell in it one matrix of weights."
    if not way.known:
        return f"{cell} Its color says how much of it was kept."
    if run.restore == "base":
        return f"{cell} Its number is the share of the change that was lost, squared, so that large moves count more."
    return f"{cell} Its number is the share of its strength that was lost: of all its weights, squared and added up."


def _against_lots(way: Guide) -> str:
    lots = wording.percent(way.by_lot, 0)
    if abs(way.lost - way.by_lot) < damage.APART:
        return f"Drawing lots would lose as much, {lots}."
    return f"Drawing lots would lose {'more' if way.lost < way.by_lot else 'less'}, {lots}."


def _after(run: Run) -> str:
    """What became of kept values; nothing where they are as before."""
    if run.tuning is not None:
        return " The kept weights were trained further since."
    if run.kept_values is None:
        return ""
    return f" The kept weights were {'rescaled' if run.spec.rescale != 'none' else 'adjusted'} since."


def _shares(run: Run) -> Iterator[str]:
    """Why blocks keep as much as they do."""
    if damage.evenly_kept(run.matrices):
        yield "Every matrix gave the same share, because every row of weights was treated alike."
    elif run.spec.allocation != UNIFORM:
        yield f"{_allocation(run)} decided how much each block gives."


# --- a block, a matrix -------------------------------------------------------------------------


def _what(run: Run, way: Guide) -> str:
    """What parts of the model lost, as the end of a sentence."""
    if not way.known:
        return "its weights"
    return "what fine-tuning changed" if run.restore == "base" else "its strength"


def _block(run: Run, way: Guide) -> Step:
    several = len(set(way.blocks["stack"])) > 1
    names = [wording.block_label(int(line.block), line.stack, several) for line in _lines(way.blocks)]
    own = wording.block_label(int(way.block or 0), way.stack, several)
    title = _compared(way.blocks, names, own, "block", _what(run, way))
    if len(way.blocks) == 1:
        why_here = "It is the only one."
    elif not differ(way.blocks):
        why_here = f"No block stands out, so any one will do: this is {own}."
    else:
        why_here = ""
    table = run.matrices
    here = table[(table["block"] == way.block) & (table["stack"] == way.stack)]
    here = here[here["status"] == "pruned"]
    gone = 1 - float(here["kept"].sum()) / float(here["params"].sum())
    said = f"{why_here} {wording.percent(gone, 0)} of its weights {_fate(run)}"
    if run.spec.allocation != UNIFORM and not damage.evenly_kept(run.matrices):
        said += f", as {_allocation(run)} decided"
    parts = "Attention lets each word look at the others; the feed-forward part then works on each word by itself."
    return Step(key="block", title=title, words=(f"{said.strip()}.", parts), near="block", matrix=way.matrix)


def _fate(run: Run) -> str:
    return "were put back" if run.restore == "base" else "became zero"


def _matrix(run: Run, way: Guide) -> Step:
    assert way.matrix is not None
    line = run.matrix(way.matrix)
    names = [matrices.noun(run.matrix(name)) for name in way.siblings["name"]]
    own, role = matrices.noun(line), str(line["role"])
    title = f"The {own} lost {wording.percent(_lost(run, way), 0)} of {_what(run, way)}"
    if len(names) > 1:
        title = _compared(way.siblings, names, own, "matrix", _what(run, way))
    does = f"The {own} {wording.ROLES_DO[role]}. " if role in wording.ROLES_DO else ""
    return Step(key="matrix", title=title, words=(f"{does}{_rows(run, line)}",), near="matrix", matrix=way.matrix)


def _lost(run: Run, way: Guide) -> float:
    line = run.matrix(str(way.matrix))
    return float(line["diff_lost"]) if way.known else 1 - int(line["kept"]) / int(line["params"])


def _rows(run: Run, line: pd.Series[Any]) -> str:
    """How much each row keeps, and why."""
    rows, cols = int(line["rows"]), int(line["cols"])
    kept = run.rows(str(line["name"]))["kept"]
    low, high = int(kept.min()), int(kept.max())
    start = f"It has {rows:,} rows of {cols:,} weights, one row for each number that it puts out."
    if low == high:
        return f"{start} Each keeps {low:,}, because every row was treated by itself."
    if high - low == 1:
        return f"{start} Each keeps {low:,} or {high:,}, the same share but for rounding."
    by = f", as {_allocation(run)} decided" if run.spec.allocation != UNIFORM else ""
    return f"{start} A row keeps {low:,} to {high:,}{by}."


def _compared(table: pd.DataFrame, names: list[str], own: str, kind: str, what: str) -> str:
    """How a part stands among others of its kind; a tie or a difference of noise names nobody."""
    many = {"block": "blocks", "matrix": "matrices"}[kind]
    shares = [float(value) for value in table["lost"]]
    mine = wording.percent(shares[names.index(own)], 0)
    start = own[:1].upper() + own[1:] if kind == "block" else f"The {own}"
    if len(shares) == 1:
        return f"{start} lost {mine} of {what}"
    found = ends(shares, names, lambda share: wording.percent(share, 0)) if differ(table) else None
    if found is None:
        low, high = (wording.percent(one, 0) for one in (min(shares), max(shares)))
        span = f"{low} to {high}" if low != high else low
        return f"Every {kind} {'of this block ' if kind == 'matrix' else ''}lost about the same: {span} of {what}"
    low_end, most = found
    if own in most.places:
        where = most.where(many)
        if len(most.places) > 1:
            start = where[:1].upper() + where[1:] if kind == "block" or where[0].isdigit() else f"The {where}"
        other = "" if kind == "matrix" else f", {low_end.where(many)} least ({low_end.value})"
        return f"{start} lost most: {mine} of {what}{other}"
    where = most.where(many)
    return f"{start} lost {mine} of {what}; {'the ' if kind == 'matrix' else ''}{where} most, {most.value}"


# --- a row, a weight ---------------------------------------------------------------------------


def _row(run: Run, example: Example) -> Step:
    kept, cols = int(example.keep.sum()), len(example.keep)
    title = f"Row {example.row:,} keeps {kept:,} of its {cols:,} weights{_tails(example)}"
    return Step(
        key="row",
        title=title,
        words=METHODS[run.spec.method].story,
        near="row",
        matrix=example.matrix,
        row=example.row,
        col=example.kept if example.kept is not None else example.gone,
    )


def _tails(example: Example) -> str:
    """Whether the row's ends or its middle stayed, where that is so clear that it can be seen."""
    table = summaries.distance_deciles(example.tuned, example.keep)
    if len(table) < _TENTHS:
        return ""
    near, far = float(table["share"].iloc[0]), float(table["share"].iloc[-1])
    if abs(far - near) < _TAILS:
        return ""
    first, last = ("extreme", "ordinary") if far > near else ("ordinary", "extreme")
    one, other = (wording.percent(share, 0) for share in (max(near, far), min(near, far)))
    return f": {one} of its most {first} tenth, {other} of its most {last}"


def _weights(run: Run, example: Example) -> Iterator[Step]:
    for key, column in (("kept", example.kept), ("gone", example.gone)):
        if column is None:
            continue
        found = why(example.walk, column)
        values = (float(side[column]) for side in (example.tuned, example.base, example.now))
        yield Step(
            key=key,
            title=reasons.headline(found, run.restore),
            words=(
                reasons.reason(found, run.spec),
                reasons.moved(*values, kept=found.kept, spec=run.spec, trained=run.tuning is not None),
            ),
            near="weight",
            matrix=example.matrix,
            row=example.row,
            col=column,
        )


def _lines(table: pd.DataFrame) -> list[Any]:
    return list(table.itertuples())
