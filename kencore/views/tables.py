"""Numbers that the pictures show: pure functions of a run's tables and of one row's values.

# R rows, C columns of a matrix; "kept" counts entries that hold the tuned value for sure:
# entries of a matrix that was not pruned are all kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.runs.run import totals_of
from kencore.views.window import RESET, Window

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

ROLES = (
    "q",
    "k",
    "v",
    "qkv",
    "o",
    "up",
    "gate",
    "gate_up",
    "down",
    "router",
    "norm",
    "bias",
    "embedding",
    "pooler",
    "head",
    "other",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a run did to the whole model, in entries and bytes.

    Attributes:
        params: entries of the model; each tied tensor counts once.
        pruned: entries of the matrices that the run pruned.
        kept: entries that hold the tuned value, those of unpruned matrices included.
        kept_pruned: kept entries of the pruned matrices alone.
        matrices, matrices_pruned: how many tensors there are, and how many were pruned.
        bytes_dense, bytes_stored: size of the tuned weights, and of the kept ones with masks.
    """

    params: int
    pruned: int
    kept: int
    kept_pruned: int
    matrices: int
    matrices_pruned: int
    bytes_dense: int
    bytes_stored: int

    @property
    def share(self) -> float:
        """Kept share of the whole model, NaN for a model without parameters."""
        return _ratio(self.kept, self.params)

    @property
    def share_pruned(self) -> float:
        """Kept share of the pruned matrices, NaN where none was pruned."""
        return _ratio(self.kept_pruned, self.pruned)

    @property
    def share_bytes(self) -> float:
        """Stored bytes over dense bytes."""
        return _ratio(self.bytes_stored, self.bytes_dense)


def totals(matrices: pd.DataFrame) -> Totals:
    """Sum a run's table of matrices (columns ``params status kept bytes_dense bytes_stored``)."""
    found = totals_of(matrices)
    return Totals(
        params=found["params"],
        pruned=found["pruned"],
        kept=found["params"] - found["reset"],
        kept_pruned=found["kept"],
        matrices=len(matrices),
        matrices_pruned=int((matrices["status"] == "pruned").sum()),
        bytes_dense=found["bytes_dense"],
        bytes_stored=found["bytes_stored"],
    )


def kept_entries(matrices: pd.DataFrame) -> pd.Series[int]:
    """Kept entries of each matrix; all of them where the matrix was not pruned."""
    pruned = matrices["status"] == "pruned"
    return matrices["kept"].where(pruned, matrices["params"]).astype("int64")


def model_cells(matrices: pd.DataFrame) -> pd.DataFrame:
    """The whole model by block and role; what is outside blocks has no block and comes first.

    Returns:
        One row per (stack, block, role) in model order: ``stack block role matrices params pruned
        kept share diff_share_kept diff_lost diff_rms input_error bits name``. ``pruned`` counts the entries of
        pruned matrices, ``diff_share_kept`` is the kept share of the squared difference tuned - base,
        ``diff_lost`` the lost one (NaN where a matrix does not know it), ``input_error`` the mean over
        weights of that column of ``matrices`` where there is one (see `damage.input_errors`), ``bits`` per weight
        likewise of its column ``coded_bytes`` (see `with_coded_bytes`), and
        ``name`` is the largest pruned matrix of the cell (the largest where none was pruned).
    """
    outside = matrices["block"].isna()
    return _group(matrices.assign(stack=matrices["stack"].mask(outside, "")), ["stack", "block", "role"])


def with_coded_bytes(matrices: pd.DataFrame, *, coded: bool) -> pd.DataFrame:
    """The table with a column ``coded_bytes``: what each pruned matrix takes in the file of a run that codes
    differences; NaN of any other run.
    """
    stored = matrices["bytes_stored"].astype("float64").where((matrices["status"] == "pruned") & coded)
    return matrices.assign(coded_bytes=stored)


def outside_roles(matrices: pd.DataFrame) -> pd.DataFrame:
    """Kept entries of every matrix outside the blocks: ``name role rows cols params ...``."""
    outside = matrices[matrices["block"].isna()].copy()
    outside["kept"] = kept_entries(outside)
    outside["share"] = outside["kept"] / outside["params"]
    columns = ["name", "role", "rows", "cols", "params", "kept", "share", "status", "reason"]
    return outside[columns].reset_index(drop=True)


def by_role(matrices: pd.DataFrame) -> pd.DataFrame:
    """The whole model by role, with the columns of `model_cells` but stack and block."""
    return _group(matrices, ["role"])


def _group(matrices: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Sum entries and squared differences over ``keys``; roles in the order of `ROLES`."""
    pruned = matrices["status"] == "pruned"
    coded = matrices["coded_bytes"] if "coded_bytes" in matrices else pd.Series(np.nan, matrices.index)
    errors = matrices["input_error"] if "input_error" in matrices else pd.Series(np.nan, matrices.index)
    squares = matrices["diff_rms"].astype("float64").fillna(0.0) ** 2 * matrices["params"]
    table = matrices.assign(
        kept=kept_entries(matrices),
        entries=matrices["params"].where(pruned, 0).astype("int64"),
        known=matrices["params"].where(matrices["diff_rms"].notna(), 0),
        squares=squares,
        squares_kept=squares.where(~pruned, squares * matrices["diff_share_kept"].fillna(1.0)),
        squares_lost=(squares * matrices["diff_lost"]).where(pruned & (squares > 0), 0.0),
        coded=coded.where(pruned),
        moved=errors * matrices["params"],
        seen=matrices["params"].where(errors.notna(), 0),
        rank=matrices["role"].map(role_rank),
    )
    # the matrix to open from a cell: pruned before unpruned, then the largest
    table = table.sort_values(["entries", "params"], ascending=False, kind="stable")
    grouped = table.groupby([*keys, "rank"], sort=False, dropna=False)
    result = grouped.agg(
        matrices=("name", "size"),
        params=("params", "sum"),
        pruned=("entries", "sum"),
        kept=("kept", "sum"),
        known=("known", "sum"),
        squares=("squares", "sum"),
        squares_kept=("squares_kept", "sum"),
        squares_lost=("squares_lost", lambda part: part.sum(skipna=False)),
        moved=("moved", "sum"),
        seen=("seen", "sum"),
        coded=("coded", lambda part: part.sum(min_count=1)),
        name=("name", "first"),
    ).reset_index()
    order = [*[key for key in keys if key != "role"], "rank"]
    result = result.sort_values(order, kind="stable", na_position="first")
    result["share"] = result["kept"] / result["params"]
    result["diff_share_kept"] = result["squares_kept"] / result["squares"].where(result["squares"] > 0)
    result["diff_lost"] = result["squares_lost"] / result["squares"].where(result["squares"] > 0)
    result["input_error"] = result["moved"] / result["seen"].where(result["seen"] > 0)
    result["bits"] = 8 * result["coded"] / result["params"]
    known = result["known"].where(result["known"] > 0)
    result["diff_rms"] = np.sqrt(result["squares"] / known)
    columns = [*keys, "matrices", "params", "pruned", "kept", "share"]
    measured = ["diff_share_kept", "diff_lost", "diff_rms", "input_error", "bits"]
    return result[[*columns, *measured, "name"]].reset_index(drop=True)


def role_rank(role: str) -> int:
    """Place of a role in pictures: attention, feed-forward, then the rest."""
    return ROLES.index(role) if role in ROLES else len(ROLES)


def left_alone(matrices: pd.DataFrame) -> pd.DataFrame:
    """What was not pruned and why: ``status reason matrices params names``.

    ``names`` is a list; the groups with most entries come first.
    """
    rest = matrices[matrices["status"] != "pruned"]
    grouped = rest.groupby(["status", "reason"], sort=False, dropna=False)
    result = grouped.agg(matrices=("name", "size"), params=("params", "sum"), names=("name", list)).reset_index()
    return result.sort_values("params", ascending=False, kind="stable").reset_index(drop=True)


# --- one matrix in every block ---------------------------------------------------------------


def family(name: str, block: int | None) -> str:
    """``name`` with its block number replaced by ``*``: equal for one matrix in every block.

    Only the first dotted part that equals the block is replaced, so an expert's number stays.
    """
    if block is None or pd.isna(block):
        return name
    parts = name.split(".")
    if str(int(block)) not in parts:
        return name
    parts[parts.index(str(int(block)))] = "*"
    return ".".join(parts)


def families(matrices: pd.DataFrame) -> pd.DataFrame:
    """The matrices that recur in blocks: ``family stack role part blocks rows cols two_d``.

    Families of 2-D parameters come first, each kind in the order of `ROLES`.
    """
    inside = with_family(matrices[matrices["block"].notna()])
    inside = inside.assign(rank=inside["role"].map(role_rank), two_d=inside["rows"] > 1)
    grouped = inside.groupby("family", sort=False)
    result = grouped.agg(
        stack=("stack", "first"),
        role=("role", "first"),
        part=("part", "first"),
        blocks=("name", "size"),
        pruned=("status", lambda status: int((status == "pruned").sum())),
        rows=("rows", "max"),
        cols=("cols", "max"),
        two_d=("two_d", "any"),
        rank=("rank", "min"),
    ).reset_index()
    result = result.sort_values(["two_d", "rank", "stack"], ascending=[False, True, True], kind="stable")
    return result.drop(columns="rank").reset_index(drop=True)


def with_family(matrices: pd.DataFrame) -> pd.DataFrame:
    """The table with a ``family`` column added."""
    names = zip(matrices["name"], matrices["block"], strict=True)
    return matrices.assign(family=[family(name, block) for name, block in names])


def family_blocks(matrices: pd.DataFrame, which: str) -> pd.DataFrame:
    """One family's matrices in block order, with ``kept`` and ``share`` for unpruned ones too."""
    inside = with_family(matrices[matrices["block"].notna()])
    chosen = inside[inside["family"] == which].copy()
    chosen["kept"] = kept_entries(chosen)
    chosen["share"] = chosen["kept"] / chosen["params"]
    # an unpruned matrix keeps its whole difference
    pruned = chosen["status"] == "pruned"
    chosen["diff_share_kept"] = chosen["diff_share_kept"].where(pruned, 1.0)
    chosen["diff_lost"] = chosen["diff_lost"].where(pruned, 0.0)
    return chosen.sort_values(["stack", "block"], kind="stable").reset_index(drop=True)


def mean_neighbours(window: Window) -> float:
    """Mean kept neighbours (0 to 4) of the kept entries of a neighbours window, NaN without any."""
    exact = window.data.dtype == np.uint8
    weight = (window.data != RESET).astype(np.float64) if exact else window.kept  # H, W
    total = float(np.sum(np.where(weight > 0, window.data, 0) * weight, dtype=np.float64))
    return _ratio(total, float(weight.sum(dtype=np.float64)))


# --- one row ---------------------------------------------------------------------------------


def distance_deciles(row: Floats, keep: Bools) -> pd.DataFrame:
    """Kept share by distance from the row's middle, in ten groups of equal size.

    Args:
        row: (C,) values.
        keep: (C,) True where kept.

    Returns:
        ``decile near far entries kept share``: decile 1 holds the tenth of the entries nearest
        the median, ``near`` and ``far`` are its smallest and largest ``|value - median|``. Rows
        shorter than 10 give as many groups as entries. Equal distances go by index.
    """
    if not len(row):
        return _decile_table([], [], [], [])
    distance = np.abs(row.astype(np.float64) - np.median(row.astype(np.float64)))
    order = np.argsort(distance, kind="stable")  # (C,)
    groups = np.array_split(order, min(10, len(row)))
    return _decile_table(
        [distance[group[0]] for group in groups],
        [distance[group[-1]] for group in groups],
        [len(group) for group in groups],
        [int(np.count_nonzero(keep[group])) for group in groups],
    )


def _decile_table(
    near: Sequence[float], far: Sequence[float], entries: Sequence[int], kept: Sequence[int]
) -> pd.DataFrame:
    table = pd.DataFrame({"near": near, "far": far, "entries": entries, "kept": kept})
    table.insert(0, "decile", np.arange(1, len(table) + 1))
    table["share"] = table["kept"] / table["entries"]
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNumbers:
    """One row in numbers; ``diff_share_kept`` is the kept share of the squared difference
    (NaN where tuned and base are equal), ``overlap_top`` the share of kept entries that are
    also among the largest in magnitude at the same budget.
    """

    cols: int
    kept: int
    share: float
    low: float
    middle: float
    high: float
    spread: float
    diff_rms: float
    diff_share_kept: float
    overlap_top: float


def row_numbers(tuned: Floats, base: Floats | None, keep: Bools) -> RowNumbers:
    """Describe one row: (C,) tuned and base values and the kept entries."""
    values = tuned.astype(np.float64)
    kept = int(np.count_nonzero(keep))
    difference = np.zeros(0) if base is None else values - base.astype(np.float64)
    squares = difference**2
    top = np.argsort(-np.abs(values), kind="stable")[:kept]
    return RowNumbers(
        cols=len(values),
        kept=kept,
        share=_ratio(kept, len(values)),
        low=float(values.min()),
        middle=float(np.median(values)),
        high=float(values.max()),
        spread=float(values.std()),
        diff_rms=float(np.sqrt(squares.mean())) if base is not None else float("nan"),
        diff_share_kept=_ratio(float(squares[keep].sum()), float(squares.sum())) if base is not None else float("nan"),
        overlap_top=_ratio(int(np.count_nonzero(keep[top])), kept),
    )


def jaccard(first: Bools, second: Bools) -> float:
    """Entries kept by both over entries kept by either; 1 for two empty sets."""
    either = int(np.count_nonzero(first | second))
    return _ratio(int(np.count_nonzero(first & second)), either) if either else 1.0


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
