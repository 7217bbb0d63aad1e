"""Pictures of the masks themselves: a small map of each matrix, and neighbours of kept entries.

# R rows (outputs), C columns (inputs) of a matrix
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.report.charts.axes import WIDTH, Axis, across, legend
from kencore.report.charts.canvas import Canvas, Pixels
from kencore.report.content import Figure
from kencore.runs import bits
from kencore.runs.run import Run
from kencore.views import tables as summaries
from kencore.words import numbers as wording
from kencore.words.findings import lines, place_of, role_ranks

SIDE: Final = 64  # cells of a small map, and pixels
BLOCKS: Final = 24  # rows of small maps; of more blocks some are shown
LEVELS: Final = 16  # steps between reset and kept: more cannot be told apart and take more room
ENTRIES_AT_ONCE: Final = 1 << 24
Progress = Callable[[float, float, str], None]


def small_maps(run: Run) -> Figure | None:
    """A small map of the largest pruned matrix of each block and role; ``None`` without any."""
    cells = summaries.model_cells(run.matrices)
    drawn = [run.shape(name)[0] > 1 and pruned > 0 for name, pruned in zip(cells["name"], cells["pruned"], strict=True)]
    cells = cells[drawn]
    if cells.empty:
        return None
    several = len(set(cells.loc[cells["block"].notna(), "stack"])) > 1
    cells = cells.assign(place=[place_of(line.block, line.stack, several) for line in lines(cells)])
    every = list(dict.fromkeys(cells["place"]))
    places = [every[i] for i in _spaced(len(every))]
    roles = list(dict.fromkeys(cells.sort_values("role", key=role_ranks)["role"]))
    left, top, step = 104.0, 40.0, SIDE + 12.0
    wide = min((WIDTH - left) / len(roles), step + 18)
    canvas = Canvas(WIDTH, top + step * len(places) + 8)
    _key(canvas)
    for i, role in enumerate(roles):
        canvas.text(left + wide * (i + 0.5), top - 6, role, anchor="middle")
    side = min(SIDE, wide - 6)
    shown = cells[cells["place"].isin(places)]
    for line in lines(shown):
        x, y = left + wide * (roles.index(line.role) + 0.5), top + step * places.index(line.place)
        rows, cols = run.shape(line.name)
        tall, broad = _fit(rows, cols, side)
        data = small_map(run.overview(line.name))
        canvas.shares(x - broad / 2, y + (step - 12 - tall) / 2, broad, tall, data)
    for i, place in enumerate(places):
        canvas.text(left - 10, top + step * i + (step - 12) / 2 + 4, place, anchor="end")
    few = "" if len(places) == len(every) else f" {len(places)} of {len(every)} places are shown."
    finding = f"Where each of {len(shown)} matrices keeps its entries"
    return Figure(
        name="kept-maps",
        finding=finding,
        drawing=canvas.drawing(),
        alt=f"Small maps of the largest pruned matrix of each block and role. {finding}.{few}",
        data=shown[["stack", "block", "role", "name", "params", "kept", "share"]],
        note=f"Each square is a whole matrix in at most {SIDE} × {SIDE} cells, rows (outputs) "
        "downwards, columns (inputs) to the right; a cell stands out as much as it kept "
        f"of its entries. The largest pruned matrix of each block and role.{few}",
    )


def small_map(overview: NDArray[np.floating]) -> Pixels:
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


def _key(canvas: Canvas) -> None:
    x = canvas.width - 170
    canvas.text(x - 8, 13, "share kept: 0 %", anchor="end", color="muted")
    canvas.shares(x, 3, 120, 12, np.linspace(0, 255, LEVELS).astype(np.uint8)[None, :])
    canvas.text(x + 128, 13, "100 %", color="muted")


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
            progress(done, len(chosen), f"Counting neighbours in {line.name}")
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


def neighbours(table: pd.DataFrame) -> Figure | None:
    """Bars of how many neighbours of kept entries are kept, by role; a mark for the mean, and an
    open one for chance. ``None`` without any.

    Args:
        table: `neighbour_table`.
    """
    table = table[table["kept"] > 0]
    if table.empty:
        return None
    left, tall = 190.0, 34.0
    canvas = Canvas(WIDTH, 0)
    top = (
        legend(
            canvas,
            0,
            [
                (name, _swatch(canvas, f"n{i}"))
                for i, name in enumerate(("no neighbour kept", "1", "2", "3", "all 4 kept"))
            ],
        )
        + 4
    )
    bottom = top + tall * len(table)
    canvas.height = bottom + 46
    axis = Axis(low=0, high=1, start=left, end=WIDTH - 30)
    across(canvas, axis, top, bottom, "share of kept entries", lambda share: wording.percent(share, 0))
    for i, line in enumerate(lines(table)):
        x, y = left, top + tall * i + 6
        for count in range(5):
            wide = (axis.end - left) * getattr(line, f"n{count}") / line.kept
            canvas.box(x, y, wide, tall - 12, f"n{count}")
            x += wide
        name = wording.ROLES_EXPLAINED.get(line.role, line.role)
        canvas.text(left - 8, y + tall / 2 - 2, name, anchor="end")
    finding = neighbours_finding(table)
    return Figure(
        name="neighbours",
        finding=finding,
        drawing=canvas.drawing(),
        data=table,
        alt=f"Bars of kept entries by how many of their four neighbours are kept, one per role. {finding}.",
        note="Neighbours are the entries above, below, left and right in the matrix. Chance is "
        "what random masks that keep as many entries of each matrix would have.",
    )


def _swatch(canvas: Canvas, color: str) -> Callable[[float, float], None]:
    return lambda x, y: canvas.box(x, y - 6, 16, 12, color)


def neighbours_finding(table: pd.DataFrame) -> str:
    """Whether kept entries stand together more than chance would have it, in one sentence."""
    weights = table["kept"].to_numpy(np.float64)
    mean, chance = (float(np.average(table[name], weights=weights)) for name in ("mean", "by_chance"))
    text = f"A kept entry has {mean:.2f} kept neighbours of 4 on average"
    if abs(mean - chance) < 0.02:
        return f"{text}, as chance would have it"
    return f"{text}, {'more' if mean > chance else 'fewer'} than the {chance:.2f} of chance"
