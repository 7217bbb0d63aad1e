"""What pictures of a run say in one sentence: their titles in the app and in reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from kencore.views import sparsity
from kencore.views.damage import VECTORS, alike
from kencore.words import numbers as wording
from kencore.words.extremes import End, ends

OUTSIDE: Final = "outside blocks"
ASIDE: Final = ", norms and biases aside"  # they are few weights, and no end of the others
_SAME: Final = 0.005  # shares that are closer are one number


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What the map of the model shows: a column of `summaries.model_cells`; ``share``: whether it is a share."""

    column: str
    label: str
    unit: str
    explained: str
    share: bool = True


_BITS: Final = Measure(
    column="bits",
    label="Bits per weight",
    unit="bits per weight",
    explained="bytes of the coded changes in the file, over the weights of the cell",
    share=False,
)
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
            explained="weights that are not reset to the base, over all weights of the cell",
        ),
        Measure(
            column="diff_rms",
            label="Size of the change",
            unit="typical change (root mean square)",
            explained="how far fine-tuning moved the weights of the cell",
            share=False,
        ),
        _INPUTS,
        _BITS,
    )
}
MEASURES_ALONE: Final = {  # without a base the difference is the weight itself
    "diff_lost": Measure(
        column="diff_lost",
        label="Weight lost",
        unit="share of squared weights lost",
        explained="sum of (dense - pruned)² over the sum of dense²",
    ),
    "share": replace(MEASURES["share"], explained="weights that are not set to zero, over all weights of the cell"),
    "diff_rms": Measure(
        column="diff_rms",
        label="Size of the weights",
        unit="typical size (root mean square)",
        explained="how large the weights of the cell are",
        share=False,
    ),
    "input_error": _INPUTS,
    "bits": _BITS,
}


_CHANGED: Final = MEASURES | {
    "share": replace(
        MEASURES["share"],
        label="Changed share",
        unit="changed share",
        explained="weights that have a change in the file, over all weights of the cell",
    )
}


def measures(terms: wording.Terms) -> dict[str, Measure]:
    """What the map can show, by column."""
    if terms is wording.CODED:
        return _CHANGED
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
        if measure == "bits":
            return "No change of this run is stored in a code"
        return equal if measure in ("diff_lost", "diff_rms") else "Nothing is known of these inputs"
    known = pruned[values.notna()]
    main = known[~known["role"].isin(VECTORS)]
    main = known if main.empty else main  # norms and biases are few weights far from the others
    shares, rest = [float(value) for value in main[measure]], [float(value) for value in known[measure]]
    alone = terms.dense != "tuned"
    if measure in ("diff_rms", "bits"):
        outside = f"{min(rest):.2g}" != f"{min(shares):.2g}" or f"{max(rest):.2g}" != f"{max(shares):.2g}"
        said = _bits(shares, main) if measure == "bits" else _sizes(shares, main, alone=alone)
        return said + (ASIDE if outside else "")
    lost = "of the squared weights lost" if alone else "of the squared change lost"
    if max(shares) > 1:  # rescaled: what was kept went further than tuning had
        lost = "of the squared change between tuned and pruned weights"
    what = {"share": terms.done, "diff_lost": lost}.get(measure, "of the input norms moved")
    aside = ASIDE if min(rest) < min(shares) - _SAME or max(rest) > max(shares) + _SAME else ""
    if max(shares) - min(shares) < _SAME:
        return f"{wording.percent(sum(shares) / len(shares), 0)} {what} in every pruned block and role{aside}"
    digits = wording.range_digits(min(shares), max(shares))
    found = ends(shares, _cells(main), lambda share: wording.percent(share, digits))
    assert found is not None  # half a point shows
    low, high = found
    if measure == "diff_lost" and alike(shares):
        return f"About as much {what} in every pruned block and role: {low.value} to {high.value}{aside}"
    return f"{low.value} to {high.value} {what}{aside}: least in {_where(low, main)}, most in {_where(high, main)}"


def _sizes(sizes: list[float], cells: pd.DataFrame, *, alone: bool) -> str:
    """Where changes, or without a base weights, are largest and smallest."""
    found = ends(sizes, _cells(cells), lambda size: f"{size:.2g}")
    if found is None:
        what = "Weights are equally large" if alone else "Fine-tuning moved weights equally far"
        return f"{what} in every pruned block and role ({sizes[0]:.2g})"
    low, high = found
    first, last = f"{_where(high, cells)} ({high.value})", f"{_where(low, cells)} ({low.value})"
    if alone:
        return f"Weights are largest in {first}, smallest in {last}"
    return f"Fine-tuning moved {first} most and {last} least"


def _bits(found: list[float], cells: pd.DataFrame) -> str:
    """Where a file spends most bits per weight, and where least."""
    span = ends(found, _cells(cells), lambda bits: f"{bits:.2g}")
    if span is None:
        return f"{found[0]:.2g} bits per weight in every block and role"
    low, high = span
    most, least = _where(high, cells), _where(low, cells)
    return f"{low.value} to {high.value} bits per weight: least in {least}, most in {most}"


def _where(end: End, cells: pd.DataFrame) -> str:
    """The cells of one end in words: by name while they are few, as a block where they are all of it."""
    at = [str(line.place) for line, name in zip(lines(cells), _cells(cells), strict=True) if name in end.places]
    if len(at) > 1 and len(set(at)) == 1 and len(at) == int((cells["place"] == at[0]).sum()):
        return f"all of {at[0]}"
    return end.where("cells")


def _cells(cells: pd.DataFrame) -> list[str]:
    """Each cell in words: ``attention key of block 3``, ``embeddings outside blocks``."""
    return [
        f"{wording.ROLE_NOUNS.get(str(line.role), str(line.role))} "
        + (str(line.place) if line.place == OUTSIDE else f"of {line.place}")
        for line in lines(cells)
    ]


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
