"""How sparsity is spread over blocks, matrices and rows, and what a search saw on the way.

Pure functions of a run's tables, its trace and its activation norms; sparsity is the share of
entries that were NOT kept, counted in the matrices that the run pruned.

# R rows (outputs), C columns (inputs), N candidates of a search, G points of a density curve
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.views.tables import role_rank

Floats = NDArray[np.float64]

POINTS: Final = 40  # of a density curve
NEAR: Final = 0.01  # candidates that cost at most this share more are as good as the best one
SAME: Final = 0.002  # sparsities that differ less are the same to everybody
EVEN: Final = 1  # entries by which rows may differ through rounding alone


# --- blocks and roles ------------------------------------------------------------------------


def by_block(matrices: pd.DataFrame) -> pd.DataFrame:
    """Pruned matrices inside blocks, summed.

    Returns:
        ``stack block matrices cols params kept sparsity target``: ``cols`` is of the narrowest
        matrix, whose rows cannot be rounded more finely than to 1 / cols; ``target`` is what the
        allocation asked for before rounding, weighted by entries, NaN where the run has none.
    """
    return _summed(matrices, ["stack", "block"])


def by_block_and_role(matrices: pd.DataFrame) -> pd.DataFrame:
    """As `by_block`, one line per block and role, with ``role`` and the largest matrix's ``name``.

    Roles come in the order of pictures; parameters with a single row are left out unless the
    model has nothing else.
    """
    inside = matrices[matrices["block"].notna() & (matrices["status"] == "pruned")]
    several = inside[inside["rows"] > 1]
    table = _summed(inside if several.empty else several, ["stack", "block", "role"])
    rank = table["role"].map(role_rank)
    return (
        table.assign(rank=rank)
        .sort_values(["rank", "stack", "block"], kind="stable")
        .drop(columns="rank")
        .reset_index(drop=True)
    )


def _summed(matrices: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    inside = matrices[matrices["block"].notna() & (matrices["status"] == "pruned")]
    asked = inside["target_keep"] if "target_keep" in inside else pd.Series(np.nan, inside.index)
    table = inside.assign(asked=(1 - asked.astype("float64")) * inside["params"])
    table = table.sort_values("params", ascending=False, kind="stable")
    found = (
        table.groupby(keys, sort=True, dropna=False)
        .agg(
            matrices=("name", "size"),
            cols=("cols", "min"),
            params=("params", "sum"),
            kept=("kept", "sum"),
            asked=("asked", lambda part: part.sum(skipna=False)),
            name=("name", "first"),
        )
        .reset_index()
    )
    found["sparsity"] = 1 - found["kept"] / found["params"]
    found["target"] = found["asked"] / found["params"]
    columns = [*keys, "matrices", "cols", "params", "kept", "sparsity", "target"]
    return found[[*columns, "name"] if "role" in keys else columns]


def overall(matrices: pd.DataFrame) -> tuple[int, int]:
    """Entries set aside and entries in all, over the pruned matrices: the exact sparsity."""
    pruned = matrices[matrices["status"] == "pruned"]
    params = int(pruned["params"].sum())
    return params - int(pruned["kept"].sum()), params


def alike(table: pd.DataFrame) -> bool:
    """Whether all lines of `by_block` or `by_block_and_role` have one sparsity but for rounding."""
    if table.empty:
        return True
    apart = float(table["sparsity"].max() - table["sparsity"].min())
    return apart <= max(SAME, 1 / int(table["cols"].min())) + 1e-9


def same_in_a_block(cells: pd.DataFrame) -> bool:
    """Whether all roles of each block have the same sparsity but for rounding.

    Args:
        cells: `by_block_and_role`.
    """
    return all(alike(part) for _, part in cells.groupby(["stack", "block"], dropna=False))


# --- rows of a matrix ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Sparsity of the rows of one matrix.

    Attributes:
        rows, cols: shape of the matrix.
        low, lower, middle, upper, high: smallest, quartiles, largest.
        even: rows differ by no more than rounding.
        grid, density: (G,) sparsity and density of its rows, 1 at the peak; empty where even.
    """

    rows: int
    cols: int
    low: float
    lower: float
    middle: float
    upper: float
    high: float
    even: bool
    grid: Floats
    density: Floats


def spread(kept: NDArray[np.integer[Any]], cols: int) -> Spread:
    """Distribution of sparsity over rows.

    Args:
        kept: (R,) entries kept in each row.
        cols: C.
    """
    sparsity = 1 - np.asarray(kept, np.float64) / cols  # R
    low, lower, middle, upper, high = (float(value) for value in np.quantile(sparsity, (0, 0.25, 0.5, 0.75, 1)))
    even = int(kept.max()) - int(kept.min()) <= EVEN
    grid, density = (np.zeros(0), np.zeros(0)) if even else _density(sparsity, 1 / cols)
    return Spread(
        rows=len(kept),
        cols=cols,
        low=low,
        lower=lower,
        middle=middle,
        upper=upper,
        high=high,
        even=even,
        grid=grid,
        density=density,
    )


def _density(values: Floats, step: float) -> tuple[Floats, Floats]:
    """Binned Gaussian density, (G,) places and (G,) heights of at most 1.

    Rule-of-thumb bandwidth, at least one entry of a row: finer than that there is nothing.
    """
    wide = max(1.06 * float(values.std()) * len(values) ** -0.2, step)
    grid = np.linspace(values.min(), values.max(), POINTS)  # G: nothing is drawn beyond the rows
    counts, edges = np.histogram(values, 2 * POINTS)
    middle = (edges[:-1] + edges[1:]) / 2
    kernel = np.exp(-0.5 * ((grid[:, None] - middle[None, :]) / wide) ** 2)  # G, 2 G
    smooth = kernel @ counts
    return grid, smooth / smooth.max()


# --- a search --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatness:
    """How much the choice of a search mattered.

    Attributes:
        best, second: the candidates of smallest and second smallest cost.
        margin: how much more the second one costs, as a share of the best cost; NaN where the
            best cost is 0 or there is no second one.
        worst: the same for the costliest one.
        near: candidates, the best included, that cost at most `NEAR` more than the best.
        total: candidates with a finite cost.
    """

    best: float
    second: float
    margin: float
    worst: float
    near: int
    total: int


def flatness(candidates: Sequence[float], costs: Sequence[float]) -> Flatness | None:
    """Compare the costs of (N,) candidates; first on ties, as the search; None without any."""
    places = np.asarray(candidates, np.float64)
    values = np.asarray([np.nan if cost is None else cost for cost in costs], np.float64)
    places, values = places[np.isfinite(values)], values[np.isfinite(values)]
    if not len(values):
        return None
    order = np.argsort(values, kind="stable")
    best = values[order[0]]
    more = (values[order] - best) / best if best else np.full(len(values), np.nan)
    return Flatness(
        best=float(places[order[0]]),
        second=float(places[order[1]]) if len(order) > 1 else float("nan"),
        margin=float(more[1]) if len(order) > 1 else float("nan"),
        worst=float(more[-1]),
        near=int(np.count_nonzero(values <= best * (1 + NEAR))),
        total=len(values),
    )


# --- activations -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Input norms of one matrix in the dense and in the pruned model, as shares of their sums.

    Attributes:
        order: (C,) features by falling dense norm, lower index first on ties.
        dense, sparse: (C,) shares in that order, each summing to 1 (0 where all norms are 0).
        moved: share of the norm that lies on other features than before, 0 to 1.
        cost: what NeuroAL adds up over matrices, ||dense - sparse||_2 / C.
    """

    order: NDArray[np.int64]
    dense: Floats
    sparse: Floats
    moved: float
    cost: float


def alignment(dense: NDArray[np.floating[Any]], sparse: NDArray[np.floating[Any]]) -> Alignment:
    """Compare the norms (C,) of a matrix's inputs in the dense and in the pruned model."""
    before, after = (_shares(np.asarray(norms, np.float64)) for norms in (dense, sparse))
    order = np.argsort(-before, kind="stable")
    difference = after - before
    return Alignment(
        order=order,
        dense=before[order],
        sparse=after[order],
        moved=float(np.abs(difference).sum() / 2),
        cost=float(np.linalg.norm(difference) / len(difference)),
    )


def _shares(norms: Floats) -> Floats:
    total = norms.sum()
    return norms / total if total > 0 else np.zeros_like(norms)


# --- quality ---------------------------------------------------------------------------------


def why_not_comparable(first: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """What forbids comparing the measurements of two runs; None where nothing does.

    Both are ``metrics.json`` and not empty. The same name of data with other content is other
    data; perplexities of other windows say other things.
    """
    if first.get("task", "classes") != other.get("task", "classes"):
        return "another task"
    if first.get("data_sha256") != other.get("data_sha256"):
        return "other data"
    for field, what in (
        ("window", "another window"),
        ("windows", "another number of windows"),
        ("bos", "other beginnings of windows"),
    ):
        if first.get(field) != other.get(field):
            return what
    if first.get("examples") != other.get("examples"):
        return "another number of examples"
    return None
