"""Which entries two or more runs keep: both, only one, none. Counted from packed masks.

A mask is never unpacked whole: bits are combined and counted some rows at a time. No torch: the
web process compares with this.

# R rows (outputs), C columns (inputs), N runs
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.errors import IncomparableRunsError
from kencore.runs import bits
from kencore.runs.run import Run
from kencore.system.progress import Progress
from kencore.views.tables import role_rank

BYTES_AT_ONCE: Final = 1 << 24  # of each packed mask
SHARES: Final = ("both", "only_a", "only_b", "neither")
ABOUT: Final = ["name", "stack", "block", "role", "part", "rows", "cols", "params"]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Entries of one matrix, or of several together, by which of two runs keeps them.

    Attributes:
        both, only_a, only_b, neither: entries; they add up to all of the matrix.
        by_chance: entries that both would keep if each had drawn as many of each row as it keeps,
            independently: the sum of k_a k_b / C over rows.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    by_chance: float

    @property
    def params(self) -> int:
        """All entries."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def jaccard(self) -> float:
        """Entries that both keep over entries that either keeps; NaN where neither keeps any."""
        return float(jaccard(self.both, self.both + self.only_a, self.both + self.only_b))

    @property
    def chance(self) -> float:
        """The Jaccard index of independent random masks that keep as many of each row."""
        return float(jaccard(self.by_chance, self.both + self.only_a, self.both + self.only_b))


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What `compare` found.

    Attributes:
        runs: the ids, in the order given.
        matrices: one line per matrix that all of them pruned, in the order of the first run:
            ``name stack block role part rows cols params kept_by_all kept_by_none kept_0 kept_1
            ...``.
        pairs: one line per matrix and pair of runs: ``name a b both only_a only_b neither
            by_chance``; ``a < b`` are places in ``runs``.
        left_out: matrices that cannot be compared, ``name why``.
        notes: what a reader has to know, such as that the models differ.
    """

    runs: tuple[str, ...]
    matrices: pd.DataFrame
    pairs: pd.DataFrame
    left_out: pd.DataFrame
    notes: tuple[str, ...]

    def pair(self, a: int = 0, b: int = 1) -> pd.DataFrame:
        """One line per matrix for runs ``a`` and ``b``: `ABOUT`, the counts, ``jaccard`` and
        ``chance``. The order counts: ``only_a`` is of the run named first.
        """
        low, high = sorted((a, b))
        found = self.pairs[(self.pairs["a"] == low) & (self.pairs["b"] == high)]
        found = found.drop(columns=["a", "b"])
        if a > b:
            found = found.rename(columns={"only_a": "only_b", "only_b": "only_a"})
        return with_indices(self.matrices[ABOUT].merge(found, on="name"))

    def overall(self, a: int = 0, b: int = 1) -> Overlap:
        """All common matrices together."""
        return total(self.pair(a, b))

    def jaccard_matrix(self) -> pd.DataFrame:
        """(N, N) Jaccard indices over all common matrices, 1 on the diagonal."""
        grid = np.eye(len(self.runs))
        for a, b in combinations(range(len(self.runs)), 2):
            grid[a, b] = grid[b, a] = self.overall(a, b).jaccard
        return pd.DataFrame(grid, index=list(self.runs), columns=list(self.runs))


def jaccard(both: float, first: float, second: float) -> float:
    """Entries kept by both over entries kept by either, from the numbers that each keeps."""
    either = first + second - both
    return both / either if either else float("nan")


def row_overlap(a: Run, b: Run, name: str) -> pd.DataFrame:
    """One line per row: ``row both only_a only_b neither by_chance jaccard chance``.

    Raises:
        IncomparableRunsError: the two have it in another shape.
        MatrixNotFoundError: a run has no such matrix, or did not prune it.
    """
    check_shape(a, b, name)
    cols = a.shape(name)[1]
    parts = [_rows_of((a.mask_bits(name, rows), b.mask_bits(name, rows)), cols) for rows in _slices(a, name)]
    table = pd.DataFrame({key: np.concatenate([p[key] for p in parts]) for key in parts[0]})
    table.insert(0, "row", np.arange(len(table)))
    return with_indices(table)


def compare(runs: Sequence[Run], progress: Progress | None = None) -> Comparison:
    """Compare the masks of all matrices that the runs have in common.

    Args:
        progress: called with matrices done, matrices in all, and which one is next.

    Raises:
        IncomparableRunsError: fewer than two runs, one twice, or no pruned matrix of the same name
            and shape in all of them.
    """
    check_runs(runs)
    common, left_out = _common(runs)
    if not common:
        raise IncomparableRunsError(
            " and ".join(run.id for run in runs),
            got="no matrix that all of them pruned in the same shape"
            + (f" ({left_out[0][0]}: {left_out[0][1]})" if left_out else ""),
            wanted="runs of models with matrices of the same names and shapes",
            remedy="Choose runs of one model, or of models of one family and size.",
        )
    lines, pairs = [], []
    for done, name in enumerate(common):
        if progress is not None:
            progress(done, len(common), name)
        line, found = _matrix(runs, name)
        lines.append({key: runs[0].matrix(name)[key] for key in ABOUT} | line)
        pairs += found
    return Comparison(
        runs=tuple(run.id for run in runs),
        matrices=pd.DataFrame(lines),
        pairs=pd.DataFrame(pairs),
        left_out=pd.DataFrame(left_out, columns=["name", "why"]),
        notes=tuple(_notes(runs, common)),
    )


def grouped(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The lines of `Comparison.pair` summed over ``keys`` (of ``stack block role part``), with
    ``matrices`` (how many) and ``name`` (the largest one), in the order of pictures.
    """
    ranked = table.assign(rank=table["role"].map(role_rank)) if "role" in keys else table
    order = [key if key != "role" else "rank" for key in keys]
    sums = dict.fromkeys(("params", *SHARES, "by_chance"), "sum")
    largest = ranked.sort_values("params", ascending=False, kind="stable")
    by = [*keys, *(["rank"] if "role" in keys else [])]
    found = largest.groupby(by, sort=False, dropna=False).agg(
        matrices=("name", "size"), name=("name", "first"), **{key: (key, how) for key, how in sums.items()}
    )
    found = found.reset_index().sort_values(order, kind="stable", na_position="first")
    return with_indices(found.drop(columns="rank", errors="ignore").reset_index(drop=True))


def with_indices(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``jaccard`` and ``chance`` worked out from its counts."""
    both, chance = table["both"].to_numpy(float), table["by_chance"].to_numpy(float)
    first, second = both + table["only_a"], both + table["only_b"]
    with np.errstate(invalid="ignore"):
        return table.assign(jaccard=both / (first + second - both), chance=chance / (first + second - chance))


def total(table: pd.DataFrame) -> Overlap:
    """The sum of lines with the counts of an `Overlap`."""
    return Overlap(**{key: int(table[key].sum()) for key in SHARES}, by_chance=float(table["by_chance"].sum()))


# --- counting --------------------------------------------------------------------------------


def _slices(run: Run, name: str) -> Iterator[slice]:
    rows, cols = run.shape(name)
    step = max(1, BYTES_AT_ONCE // -(-cols // 8))
    for first in range(0, rows, step):
        yield slice(first, min(first + step, rows))


def _rows_of(pair: tuple[bits.Bits, bits.Bits], cols: int) -> dict[str, NDArray[np.generic]]:
    """Counts of each row of two packed masks (r, B); their padding is zero in both."""
    first, second = (bits.kept_per_row(packed) for packed in pair)  # r
    both = bits.kept_per_row(pair[0] & pair[1])
    return {
        "both": both,
        "only_a": first - both,
        "only_b": second - both,
        "neither": cols - first - second + both,
        "by_chance": first * second / cols,
    }


def _matrix(runs: Sequence[Run], name: str) -> tuple[dict[str, int], list[dict[str, object]]]:
    """One matrix in one pass: what all, none and each of the runs keep, and every pair."""
    rows, cols = runs[0].shape(name)
    pairs = list(combinations(range(len(runs)), 2))
    both, chance = np.zeros(len(pairs), np.int64), np.zeros(len(pairs))
    kept = np.zeros(len(runs), np.int64)
    by_all = by_any = 0
    for part in _slices(runs[0], name):
        packed = [run.mask_bits(name, part) for run in runs]
        counts = [bits.kept_per_row(mask) for mask in packed]  # N of r
        kept += [int(count.sum()) for count in counts]
        by_all += int(bits.kept_per_row(np.bitwise_and.reduce(packed)).sum())
        by_any += int(bits.kept_per_row(np.bitwise_or.reduce(packed)).sum())
        for i, (a, b) in enumerate(pairs):
            both[i] += int(bits.kept_per_row(packed[a] & packed[b]).sum())
            chance[i] += float((counts[a] * counts[b]).sum()) / cols
    params = rows * cols
    line = {"kept_by_all": by_all, "kept_by_none": params - by_any}
    line |= {f"kept_{i}": int(count) for i, count in enumerate(kept)}
    found: list[dict[str, object]] = [
        {
            "name": name,
            "a": a,
            "b": b,
            "both": int(both[i]),
            "only_a": int(kept[a] - both[i]),
            "only_b": int(kept[b] - both[i]),
            "neither": int(params - kept[a] - kept[b] + both[i]),
            "by_chance": float(chance[i]),
        }
        for i, (a, b) in enumerate(pairs)
    ]
    return line, found


# --- what can be compared --------------------------------------------------------------------


def check_runs(runs: Sequence[Run]) -> None:
    """Raise `IncomparableRunsError` where there are fewer than two runs, or one twice."""
    ids = [run.id for run in runs]
    if len(ids) < 2 or len({str(run.path.resolve()) for run in runs}) < len(ids):
        raise IncomparableRunsError(
            "comparison",
            got=f"the same run twice ({', '.join(ids)})"
            if len(ids) > 1
            else f"{len(ids)} run{'' if len(ids) == 1 else 's'}",
            wanted="two or more runs",
            remedy="Choose another run beside it.",
        )


def check_shape(a: Run, b: Run, name: str) -> None:
    """Raise `IncomparableRunsError` where two runs have a matrix in different shapes."""
    if a.shape(name) != b.shape(name):
        shapes = [" x ".join(map(str, run.shape(name))) for run in (a, b)]
        raise IncomparableRunsError(
            name,
            got=f"{shapes[0]} in {a.id} and {shapes[1]} in {b.id}",
            wanted="one shape in both",
            remedy="Choose another matrix, or runs of one model.",
        )


def _common(runs: Sequence[Run]) -> tuple[list[str], list[tuple[str, str]]]:
    """Matrices that all runs pruned in one shape, and the others that some run pruned, with why
    they are left out.
    """
    known = [set(run.matrices["name"]) for run in runs]
    pruned = [set(run.pruned) for run in runs]
    common, left_out = [], []
    for name in dict.fromkeys(name for run in runs for name in run.pruned):
        why = [
            f"{run.id} has none of that name" if name not in has else f"not pruned in {run.id}"
            for run, has, own in zip(runs, known, pruned, strict=True)
            if name not in own
        ]
        shapes = {run.shape(name) for run, has in zip(runs, known, strict=True) if name in has}
        if len(shapes) > 1:
            why.append("shapes " + " and ".join(f"{r} x {c}" for r, c in sorted(shapes)))
        if why:
            left_out.append((name, "; ".join(why)))
        else:
            common.append(name)
    return common, left_out


def _notes(runs: Sequence[Run], common: list[str]) -> Iterator[str]:
    tables = [run.matrices.set_index("name") for run in runs]
    for run, table in zip(runs[1:], tables[1:], strict=True):
        for side, what in (("tuned", "model"), ("base", "base")):
            column = f"{side}_sha256"
            if column not in table or column not in tables[0]:
                continue
            pair = tables[0].loc[common, column], table.loc[common, column]
            known = pair[0].notna() & pair[1].notna()
            apart = int((pair[0][known] != pair[1][known]).sum())
            if apart:
                yield (
                    f"{run.id} has another {what} than {runs[0].id}: weights differ in {apart} of {len(common)} "
                    "matrices, so masks are compared by place alone."
                )
