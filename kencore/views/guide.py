"""The way of a guided zoom: from the model to the block and the matrix that lost most, and what each level lost.

Pure functions of a run's table of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from kencore.views import damage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Guide:
    """Where the zoom goes, and what the parts on its way lost.

    Attributes:
        known: the run knows what its matrices lost of the squared change (without a base: of the squared weights); else
            ``lost`` is the share of weights that were not kept.
        lost: of all pruned matrices together, NaN where nothing was pruned.
        by_lot: what a random choice with the same budgets would lose, in expectation.
        matrix: the one that the zoom goes into; ``None`` where no matrix with rows was pruned.
        stack, block: where it stands; ``block`` is ``None`` outside the blocks.
        blocks: one line per block: ``stack block lost``, in the order of the model.
        siblings: the pruned matrices of that block: ``name lost``.
    """

    known: bool
    lost: float
    by_lot: float
    matrix: str | None
    stack: str
    block: int | None
    blocks: pd.DataFrame
    siblings: pd.DataFrame

    @property
    def blocks_differ(self) -> bool:
        """Whether blocks lost different shares, more than by chance or rounding."""
        return differ(self.blocks)

    @property
    def siblings_differ(self) -> bool:
        """The same of the matrices of the block."""
        return differ(self.siblings)


def guide(matrices: pd.DataFrame, at: str | None = None) -> Guide:
    """The way into a matrix.

    Args:
        matrices: of a run.
        at: the matrix to zoom into. By default that of the block that lost most (where all lost about the same, of
            the middle block) that lost most itself (else the narrowest, whose rows are easiest to see).
    """
    pruned = matrices[matrices["status"] == "pruned"]
    table = _with_losses(pruned[pruned["rows"] > 1], damage.knows_lost(matrices))
    inside = table[table["block"].notna()]
    blocks = _by_block(inside)
    line = _chosen(table, inside, blocks, at)
    own = None if line is None or pd.isna(line["block"]) else int(line["block"])
    stack = "" if line is None else str(line["stack"])
    siblings = inside[(inside["block"] == own) & (inside["stack"] == stack)]
    total = float(table["squares"].sum())
    return Guide(
        known=damage.knows_lost(matrices),
        lost=float((table["lost"] * table["squares"]).sum()) / total if total else float("nan"),
        by_lot=float((table["gone"] * table["squares"]).sum()) / total if total else float("nan"),
        matrix=None if line is None else str(line["name"]),
        stack=stack,
        block=own,
        blocks=blocks,
        siblings=siblings[["name", "lost"]].reset_index(drop=True),
    )


def differ(table: pd.DataFrame) -> bool:
    """Whether the ``lost`` of a table's lines is not about the same, see `damage.alike`."""
    return not damage.alike([float(lost) for lost in table["lost"]])


def _with_losses(table: pd.DataFrame, known: bool) -> pd.DataFrame:
    """Columns ``gone`` (share that was not kept), ``lost``, and ``squares``, the weight of a matrix in sums of both."""
    params = table["params"].astype("float64")
    gone = 1 - table["kept"] / params
    if not known:
        return table.assign(gone=gone, lost=gone, squares=params)
    squares = table["diff_rms"].astype("float64").fillna(0.0) ** 2 * params
    return table.assign(gone=gone, lost=table["diff_lost"].astype("float64").fillna(0.0), squares=squares)


def _by_block(inside: pd.DataFrame) -> pd.DataFrame:
    table = inside.assign(part=inside["lost"] * inside["squares"])
    sums = table.groupby(["stack", "block"], sort=False)[["part", "squares"]].sum().reset_index()
    lost = (sums["part"] / sums["squares"]).fillna(0.0)
    return sums.assign(lost=lost, block=sums["block"].astype("int64"))[["stack", "block", "lost"]]


def _chosen(table: pd.DataFrame, inside: pd.DataFrame, blocks: pd.DataFrame, at: str | None) -> pd.Series | None:  # type: ignore[type-arg]
    if at is not None and at in set(table["name"]):
        return table[table["name"] == at].iloc[0]
    if table.empty:
        return None
    if len(blocks):
        one = blocks.iloc[int(blocks["lost"].to_numpy().argmax())] if differ(blocks) else blocks.iloc[len(blocks) // 2]
        table = inside[(inside["block"] == one["block"]) & (inside["stack"] == one["stack"])]
    by = ["lost", "cols"] if differ(table) else ["cols"]
    return table.sort_values(by, ascending=[name != "lost" for name in by], kind="stable").iloc[0]
