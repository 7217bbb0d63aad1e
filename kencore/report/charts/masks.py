"""Pictures of the masks themselves: a small map of each matrix, and neighbours of kept entries.

# R rows (outputs), C columns (inputs) of a matrix
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.report.charts.draw import LEVELS, WIDTH, legend, percent, plot, rows, say, shares, styled
from kencore.report.content import Figure
from kencore.runs import bits
from kencore.runs.run import Run
from kencore.system.progress import Progress
from kencore.views import tables as summaries
from kencore.words import numbers as wording
from kencore.words.findings import lines, on_map
from kencore.words.palette import LIGHT, NEIGHBOURS

SIDE: Final = 64  # cells of a small map, and pixels
BLOCKS: Final = 24  # rows of small maps; of more blocks some are shown
ENTRIES_AT_ONCE: Final = 1 << 24


@styled()
def small_maps(run: Run, terms: wording.Terms) -> Figure | None:
    """A small map of the largest pruned matrix of each block and role; ``None`` without any."""
    cells = summaries.model_cells(run.matrices)
    drawn = [run.shape(name)[0] > 1 and pruned > 0 for name, pruned in zip(cells["name"], cells["pruned"], strict=True)]
    cells = cells[drawn]
    if cells.empty:
        return None
    cells, every, roles = on_map(cells)
    places = [every[i] for i in _spaced(len(every))]
    left, top, step = 104.0, 40.0, SIDE + 12.0
    wide = min((WIDTH - left) / len(roles), step + 18)
    high = top + step * len(places) + 8
    axes = plot(high, left=0, right=0, top=0, bottom=0)
    axes.set_axis_off()
    for i, role in enumerate(roles):
        axes.text(left + wide * (i + 0.5), top - 6, role, ha="center")
    for i, place in enumerate(places):
        axes.text(left - 10, top + step * i + SIDE / 2, place, ha="right", va="center_baseline")
    shown = cells[cells["place"].isin(places)]
    for line in lines(shown):
        x = left + wide * (roles.index(line.role) + 0.5)
        y = top + step * places.index(line.place) + SIDE / 2
        tall, broad = (part / 2 for part in _fit(*run.shape(line.name), min(SIDE, wide - 6)))
        data = small_map(run.overview(line.name))
        shares(axes, data, (x - broad, x + broad, y + tall, y - tall))
    _key(axes, terms)
    axes.set(xlim=(0, WIDTH), ylim=(high, 0))  # after the maps, which set limits of their own
    few = "" if len(places) == len(every) else f" {len(places)} of {len(every)} places are shown."
    does = "change" if terms is wording.CODED else "keep"
    finding = f"Where {len(shown)} matrices {does} their weights"
    return Figure(
        name="kept-maps",
        finding=finding,
        drawing=axes.figure,
        alt=f"Small maps of the largest pruned matrix of each block and role. {finding}.{few}",
        data=shown[["stack", "block", "role", "name", "params", "kept", "share"]],
        note=f"Each picture is the largest pruned matrix of a block and role in at most {SIDE} × {SIDE} cells: "
        "outputs downwards, inputs to the right, in true proportions but for thin ones, drawn thicker. A cell "
        f"stands out by its {terms.done} share.{few}",
    )


def small_map(overview: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Shares per cell (h, w) as at most `SIDE` x `SIDE` bytes in `LEVELS` steps."""
    shares = np.asarray(overview, np.float64)
    for axis in (0, 1):
        size = shares.shape[axis]
        if size > SIDE:
            starts = np.unique(np.arange(SIDE) * size // SIDE)
            counts = np.diff([*starts, size])
            shape = (-1, 1) if axis == 0 else (1, -1)
            shares = np.add.reduceat(shares, starts, axis=axis) / counts.reshape(shape)
    steps = np.rint(shares * (LEVELS - 1)) / (LEVELS - 1)
    return np.rint(steps * 255).astype(np.uint8)


def _spaced(count: int) -> list[int]:
    """At most `BLOCKS` + 1 places, evenly chosen, the first and the last among them."""
    if count <= BLOCKS + 1:
        return list(range(count))
    return sorted({round(i * (count - 1) / BLOCKS) for i in range(BLOCKS + 1)})


def _fit(rows: int, cols: int, side: float) -> tuple[float, float]:
    """Height and width in a square, neither so small that nothing is seen."""
    scale = side / max(rows, cols)
    return max(rows * scale, 10.0), max(cols * scale, 10.0)


def _key(axes: Any, terms: wording.Terms) -> None:
    x = WIDTH - 170
    axes.text(x - 8, 13, f"share {terms.done}: 0 %", ha="right", color=LIGHT.muted)
    axes.text(x + 128, 13, "100 %", color=LIGHT.muted)
    steps = np.linspace(0, 255, LEVELS).astype(np.uint8)[None, :]
    shares(axes, steps, (x, x + 120, 15, 3))


# --- neighbours -------------------------------------------------------------------------------


def neighbour_table(run: Run, progress: Progress | None = None) -> pd.DataFrame:
    """Kept neighbours of kept entries by role, counted in all pruned matrices with rows.

    Returns:
        One line per role: ``role kept n0 n1 n2 n3 n4 mean by_chance``: kept entries with so many
        of their 4 neighbours kept, their mean, and the mean that independent random masks with as
        many kept entries per matrix would have.
    """
    table = run.matrices
    chosen = table[(table["status"] == "pruned") & (table["rows"] > 1)]
    found: dict[str, list[NDArray[np.float64]]] = {}
    for done, line in enumerate(lines(chosen)):
        if progress is not None:
            progress(done, len(chosen), f"Counting neighbors in {line.name}")
        counts = _neighbours(run, line.name, int(line.rows), int(line.cols))  # 5
        kept = counts.sum()
        pairs = 4 * line.rows * line.cols - 2 * line.rows - 2 * line.cols
        places = line.rows * line.cols
        # of an entry's mean 4 - edges neighbours each is kept with (kept - 1) / (places - 1)
        chance = pairs / places * (kept - 1) / (places - 1) * kept if kept else 0.0
        found.setdefault(line.role, []).append(np.append(counts, chance))
    sums = {role: np.sum(parts, axis=0) for role, parts in found.items()}
    roles = sorted(sums, key=summaries.role_rank)
    result = pd.DataFrame(
        [[role, sums[role][:5].sum(), *sums[role][:5]] for role in roles],
        columns=["role", "kept", "n0", "n1", "n2", "n3", "n4"],
    ).astype(dict.fromkeys(("kept", "n0", "n1", "n2", "n3", "n4"), "int64"))
    entries = result["kept"].where(result["kept"] > 0)
    total = sum(i * result[f"n{i}"] for i in range(5))
    chance = pd.Series([sums[role][5] for role in roles], dtype="float64")
    return result.assign(mean=total / entries, by_chance=chance / entries)


def _neighbours(run: Run, name: str, rows: int, cols: int) -> NDArray[np.float64]:
    """Kept entries by how many of their neighbours are kept (5,), some rows at a time."""
    counts = np.zeros(5)
    step = max(1, ENTRIES_AT_ONCE // cols)
    for first in range(0, rows, step):
        last = min(rows, first + step)
        start = max(0, first - 1)
        keep = run.keep(name, slice(start, min(rows, last + 1)))  # with the rows around
        inner = slice(first - start, last - start)
        around = bits.count_neighbours(keep)[inner]
        counts += np.bincount(around[keep[inner]], minlength=5)
    return counts


@styled()
def neighbours(table: pd.DataFrame, terms: wording.Terms) -> Figure | None:
    """Bars of how many neighbours of kept entries are kept, by role; ``None`` without any.

    Args:
        table: `neighbour_table`.
        terms: what the run calls its weights.
    """
    table = table[table["kept"] > 0]
    if table.empty:
        return None
    keys = (f"no neighbor {terms.done}", "1", "2", "3", f"all 4 {terms.done}")
    labels = [wording.ROLES_EXPLAINED.get(role, role) for role in table["role"]]
    axes = rows(labels, 34, keys=keys)
    before = np.zeros(len(table))
    for i, key in enumerate(keys):
        part = (table[f"n{i}"] / table["kept"]).to_numpy()
        axes.barh(np.arange(len(table)), part, 0.65, left=before, color=NEIGHBOURS[i], label=key)
        before += part
    axes.set(xlim=(0, 1), xlabel=f"share of {terms.done} weights")
    say(axes.xaxis, percent)
    legend(axes)
    finding = neighbours_finding(table, terms)
    return Figure(
        name="neighbours",
        finding=finding,
        drawing=axes.figure,
        data=table,
        alt=f"Bars of {terms.done} weights by how many of their four neighbors are {terms.done}, one per role. "
        f"{finding}.",
        note="Neighbors: the weights above, below, left and right. Chance: random masks of as many weights of each "
        "matrix.",
    )


def neighbours_finding(table: pd.DataFrame, terms: wording.Terms) -> str:
    """Whether kept entries stand together more than chance would have it, in one sentence."""
    weights = table["kept"].to_numpy(np.float64)
    mean, chance = (float(np.average(table[name], weights=weights)) for name in ("mean", "by_chance"))
    text = f"A {terms.done} weight has {mean:.2f} {terms.done} neighbors of 4 on average"
    if abs(mean - chance) < 0.02:
        return f"{text}, as expected by chance"
    return f"{text}, {'more' if mean > chance else 'fewer'} than the {chance:.2f} expected by chance"
