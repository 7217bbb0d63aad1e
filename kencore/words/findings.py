"""What pictures of a run say in one sentence: their titles in the app and in reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from kencore.views import sparsity
from kencore.words import numbers as wording
from kencore.words.extremes import ends

OUTSIDE: Final = "outside blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What the map of the model shows: a column of `summaries.model_cells`; ``share``: whether it is a share."""

    column: str
    label: str
    unit: str
    explained: str
    share: bool = True


_INPUTS: Final = Measure(
    column="input_error",
    label="Inputs moved",
    unit="relative change of input norms",
    explained="how far the norms of a matrix's inputs moved from the dense to the pruned model, over their size",
)
MEASURES: Final = {
    measure.column: measure
    for measure in (
        Measure(
            column="diff_lost",
            label="Change lost",
            unit="share of squared change lost",
            explained="sum of (tuned - pruned)² over the sum of (tuned - base)²",
        ),
        Measure(
            column="share",
            label="Kept share",
            unit="kept share",
            explained="entries that hold the tuned value, over all entries of the cell",
        ),
        Measure(
            column="diff_rms",
            label="Size of the change",
            unit="rms change",
            explained="how far fine-tuning moved the entries of the cell",
            share=False,
        ),
        _INPUTS,
    )
}
MEASURES_ALONE: Final = {  # without a base the difference is the weight itself
    "diff_lost": Measure(
        column="diff_lost",
        label="Weight lost",
        unit="share of squared weights lost",
        explained="sum of (dense - pruned)² over the sum of dense²",
    ),
    "share": MEASURES["share"],
    "diff_rms": Measure(
        column="diff_rms",
        label="Size of the weights",
        unit="rms weight",
        explained="how large the weights of the cell are",
        share=False,
    ),
    "input_error": _INPUTS,
}


def measures(terms: wording.Terms) -> dict[str, Measure]:
    """What the map can show, by column."""
    return MEASURES if terms.dense == "tuned" else MEASURES_ALONE


def known_measures(cells: pd.DataFrame, terms: wording.Terms) -> dict[str, Measure]:
    """`measures` of which the run knows something.

    Args:
        cells: `tables.model_cells`.
    """
    return {name: what for name, what in measures(terms).items() if name == "share" or cells[name].notna().any()}


def role_ranks(roles: pd.Series) -> pd.Series:
    """Places of roles (N,) in pictures, for sorting."""
    order = list(wording.ROLES)
    return roles.map(lambda role: order.index(role) if role in order else len(order))


def on_map(cells: pd.DataFrame) -> tuple[pd.DataFrame, list[str], list[str]]:
    """`tables.model_cells` with the block of each, or that it is outside of all, as ``place``; then
    all places from top to bottom and all roles from left to right.
    """
    several = len(set(cells.loc[cells["block"].notna(), "stack"])) > 1
    places = [
        OUTSIDE if pd.isna(line.block) else wording.block_label(int(line.block), line.stack, several)
        for line in lines(cells)
    ]
    roles = cells.sort_values("role", key=role_ranks)["role"]
    return cells.assign(place=places), list(dict.fromkeys(places)), list(dict.fromkeys(roles))


def map_finding(cells: pd.DataFrame, measure: str, terms: wording.Terms) -> str:
    """The title of the map of blocks by roles.

    Args:
        cells: `tables.model_cells` as `on_map` gives it.
        measure: a key of `MEASURES`.
    """
    pruned = cells[cells["pruned"] > 0]
    if pruned.empty:
        return "Nothing was pruned"
    values = pruned[measure]
    if values.isna().all():
        equal = "Tuned and base model are equal in the pruned matrices"
        return equal if measure in ("diff_lost", "diff_rms") else "Nothing is known of these inputs"
    known = lines(pruned[values.notna()])
    low, high = (pick(known, key=lambda line: getattr(line, measure)) for pick in (min, max))
    alone = terms.dense != "tuned"
    if measure == "diff_rms" and alone:
        return (
            f"Weights are largest in {high.place}, {high.role} ({high.diff_rms:.2g}), smallest in {low.place}, "
            f"{low.role} ({low.diff_rms:.2g})"
        )
    if measure == "diff_rms":
        return (
            f"Fine-tuning moved {high.place}, {high.role} most "
            f"({high.diff_rms:.2g}) and {low.place}, {low.role} least ({low.diff_rms:.2g})"
        )
    lost = "of the squared weights lost" if alone else "of the squared change lost"
    what = {"share": "kept", "diff_lost": lost}.get(measure, "of the input norms moved")
    if values.max() - values.min() < 0.005:
        return f"{wording.percent(values.mean(), 0)} {what} in every pruned block and role"
    ends = wording.percent_range(float(values.min()), float(values.max()))
    return f"{ends[0]} to {ends[1]} {what}: least in {low.place}, {low.role}, most in {high.place}, {high.role}"


def names(table: pd.DataFrame) -> list[str]:
    """What each line of a table with ``stack`` and ``block`` is called."""
    several = len(set(table["stack"])) > 1
    return [wording.block_label(int(line.block), line.stack, several) for line in lines(table)]


def depth_finding(blocks: pd.DataFrame, labels: Sequence[str]) -> str:
    """The title of bars of sparsity by block: `sparsity.by_block` and `names` of it."""
    shares = blocks["sparsity"].tolist()
    found = None if sparsity.alike(blocks) else ends(shares, labels, wording.percent)
    if found is None:
        return f"Every block has a sparsity of {wording.short_percent(float(blocks['sparsity'].mean()))}"
    low, high = found
    return f"Sparsity ranges from {low.value} in {low.where('blocks')} to {high.value} in {high.where('blocks')}"


def roles_finding(cells: pd.DataFrame) -> str:
    """The title of bars by role: `sparsity.by_block_and_role`."""
    sums = cells.groupby("role", sort=False)[["kept", "params"]].sum()
    shares = 1 - sums["kept"] / sums["params"]
    roles = [wording.ROLES_EXPLAINED.get(str(role), str(role)) for role in shares.index]
    found = None if sparsity.same_in_a_block(cells) else ends(shares.tolist(), roles, wording.percent)
    if found is None:
        return "All roles of a block have the same sparsity"
    low, high = found
    return f"Most pruned: {high.where('roles')} ({high.value}); least: {low.where('roles')} ({low.value})"


def lines(table: pd.DataFrame) -> list[Any]:
    """The table line by line, columns as attributes."""
    return list(table.itertuples())
