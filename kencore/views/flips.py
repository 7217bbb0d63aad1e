"""Which of the changed answers are looked at: the right ones that went wrong, those that came right, or all."""

from __future__ import annotations

from typing import Final

import pandas as pd

FILTERS: Final = ("right-wrong", "wrong-right", "changed", "all")


def chosen(table: pd.DataFrame, which: str, limit: int | None = None) -> pd.DataFrame:
    """Lines of the table of `kencore.runs.flips.Flips`, the largest KL first.

    Args:
        which: one of `FILTERS`: only the dense model is right; only the pruned one is; the answers differ; any.
        limit: so many lines at most.
    """
    dense, pruned = table["dense_right"], table["pruned_right"]
    wanted = {
        "right-wrong": dense & ~pruned,
        "wrong-right": ~dense & pruned,
        "changed": (table["dense"] != table["pruned"]) | (dense != pruned),
        "all": pd.Series(True, index=table.index),
    }[which]
    return table[wanted].head(len(table) if limit is None else limit).reset_index(drop=True)


def worst(table: pd.DataFrame, count: int = 3) -> pd.DataFrame:
    """What went wrong where the models are furthest apart; where nothing did, what changed, else what is furthest."""
    for which in ("right-wrong", "changed", "all"):
        found = chosen(table, which, count)
        if len(found):
            return found
    return table.head(0)


def clearest(table: pd.DataFrame) -> pd.DataFrame | None:
    """The line that both models tell right and the pruned one is surest of; ``None`` where there is none."""
    right = table[table["dense_right"] & table["pruned_right"] & (table["text"] != "")]
    return None if right.empty else right.loc[[right["pruned_p"].idxmax()]]
