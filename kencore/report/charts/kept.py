"""Pictures of what was kept: blocks by roles, what each role holds, sparsity by block."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from kencore.report.charts.axes import WIDTH, Axis, across, legend, up
from kencore.report.charts.canvas import Canvas, shade
from kencore.report.content import Figure
from kencore.views import sparsity
from kencore.words import numbers as wording
from kencore.words.findings import depth_finding, lines, map_finding, names, place_of, role_ranks
from kencore.words.palette import RUNS

_ROWS = 40  # of a map, beyond which their names are thinned out


def kept_map(cells: pd.DataFrame, terms: wording.Terms) -> Figure:
    """Blocks by roles, coloured by the share kept, with the number in each cell.

    Args:
        cells: `summaries.model_cells`.
    """
    several = len(set(cells.loc[cells["block"].notna(), "stack"])) > 1
    cells = cells.assign(place=[place_of(line.block, line.stack, several) for line in lines(cells)])
    rows = list(dict.fromkeys(cells["place"]))
    roles = list(dict.fromkeys(cells.sort_values("role", key=role_ranks)["role"]))
    left, top, tall = 104.0, 52.0, 30.0 if len(rows) <= _ROWS else 12.0
    wide = (WIDTH - left) / len(roles)
    canvas = Canvas(WIDTH, top + tall * len(rows) + 44)
    _scale(canvas, "share kept")
    for line in lines(cells):
        x, y = left + wide * roles.index(line.role), top + tall * rows.index(line.place)
        tone = shade(line.share)
        canvas.box(x + 1, y + 1, wide - 2, tall - 2, f"s{tone}")
        if tall > 20:
            said = f"{100 * line.share:.0f} %"
            canvas.text(
                x + wide / 2, y + tall / 2 + 4, said, anchor="middle", size=12 if wide > 44 else 10, color=f"on{tone}"
            )
    every = max(1, len(rows) // _ROWS)
    for i, place in enumerate(rows[::every]):
        canvas.text(left - 8, top + tall * (i * every + 0.5) + 4, place, anchor="end")
    bottom = top + tall * len(rows)
    for i, role in enumerate(roles):
        canvas.text(left + wide * (i + 0.5), bottom + 17, role, anchor="middle", size=12 if wide > 64 else 11)
    canvas.text((left + WIDTH) / 2, bottom + 37, "role", anchor="middle", color="muted")
    finding = map_finding(cells, "share", terms)
    return Figure(
        name="kept-map",
        finding=finding,
        drawing=canvas.drawing(),
        alt=f"Map of blocks by roles, kept share in each cell. {finding}.",
        data=cells.drop(columns="place"),
        note="Entries that hold the value from before pruning, over all entries of the cell.",
    )


def _scale(canvas: Canvas, title: str) -> None:
    """The ten colours of shares, 0 to 100 %, in the upper right."""
    wide, x = 17.0, canvas.width - 170 - 42
    canvas.text(x - 8, 17, title, anchor="end", color="muted")
    for i in range(10):
        canvas.box(x + i * wide, 6, wide, 12, f"s{i}")
    for text, at in (("0 %", x), ("50 %", x + 5 * wide), ("100 %", x + 10 * wide)):
        canvas.text(at, 33, text, size=11, anchor="middle", color="muted")


def role_bars(roles: pd.DataFrame, terms: wording.Terms) -> Figure:
    """Entries of each role, kept and not kept.

    Args:
        roles: `summaries.by_role`.
    """
    table = roles.sort_values("params", kind="stable").iloc[::-1]
    left, top, tall = 190.0, 34.0, 28.0
    canvas = Canvas(WIDTH, top + tall * len(table) + 46)
    axis = Axis(low=0, high=float(table["params"].max()) or 1.0, start=left, end=WIDTH - 30)
    across(canvas, axis, top, top + tall * len(table), "parameters", wording.count)
    legend(
        canvas,
        2,
        [
            (terms.kept, lambda x, y: canvas.box(x, y - 6, 16, 12, "kept")),
            (terms.gone_value, lambda x, y: canvas.box(x, y - 6, 16, 12, "reset", hatch=True)),
        ],
    )
    for i, line in enumerate(lines(table)):
        y = top + tall * i + 5
        end = axis(line.kept)
        canvas.box(left, y, end - left, tall - 10, "kept")
        canvas.box(end, y, axis(line.params) - end, tall - 10, "reset", hatch=True)
        name = wording.ROLES_EXPLAINED.get(line.role, line.role)
        canvas.text(left - 8, y + tall / 2, name, anchor="end")
    first, whole = table.iloc[0], int(table["params"].sum())
    name = wording.ROLES_EXPLAINED.get(first["role"], first["role"])
    finding = f"{name.capitalize()}: {wording.percent(first['params'] / whole, 0)} of all parameters, the largest part"
    return Figure(
        name="roles",
        finding=finding,
        drawing=canvas.drawing(),
        data=roles,
        alt=f"Bars of kept and other parameters by role. {finding}.",
    )


def block_bars(matrices: pd.DataFrame) -> Figure | None:
    """Sparsity of each block, with that of all pruned matrices; ``None`` without pruned blocks."""
    table = sparsity.by_block(matrices)
    if table.empty:
        return None
    gone, entries = sparsity.overall(matrices)
    level, labels = gone / entries, names(table)
    left, top, tall = 76.0, 32.0, 200.0
    high = min(1.0, 1.15 * max(level, float(table["sparsity"].max()))) or 1.0
    axis = Axis(low=0, high=high, start=top + tall, end=top)
    wide = (WIDTH - left) / len(table)
    canvas = Canvas(WIDTH, top + tall + 46)
    up(canvas, axis, left, WIDTH, "sparsity", partial(wording.percent, digits=0))
    every = max(1, len(table) // 24)
    for i, line in enumerate(lines(table)):
        x, y = left + wide * i, axis(line.sparsity)
        canvas.box(x + 0.15 * wide, y, 0.7 * wide, top + tall - y, RUNS[0])
        if i % every == 0:
            number = labels[i].removeprefix("block ")
            canvas.text(
                x + wide / 2, top + tall + 17, number, anchor="middle", color="muted", size=12 if wide > 60 else 10
            )
    canvas.line([(left, axis(level)), (WIDTH, axis(level))], "text", 1.5, (6, 4))
    named = f"all pruned matrices: {wording.percent(level)}"
    legend(canvas, 0, [(named, lambda x, y: canvas.line([(x, y), (x + 16, y)], "text", 1.5, (6, 4)))], left=left)
    canvas.text((left + WIDTH) / 2, top + tall + 37, "block", anchor="middle", color="muted")
    finding = depth_finding(table, labels)
    return Figure(
        name="sparsity-blocks",
        finding=finding,
        drawing=canvas.drawing(),
        data=table,
        alt=f"Bars of sparsity by block, with that of all pruned matrices as a line. {finding}.",
        note="Sparsity is the share of entries not kept, in the matrices of the block that were "
        "pruned. The line is that of all pruned matrices, those outside of blocks included.",
    )


def row_labels(canvas: Canvas, labels: Sequence[str], left: float, top: float, tall: float) -> None:
    """Names down the left side, over two lines where they are long."""
    for i, label in enumerate(labels):
        parts = textwrap.wrap(label, max(10, int(left / 7)))[:2]
        y = top + tall * (i + 0.5) + 4 - 7 * (len(parts) - 1)
        for j, part in enumerate(parts):
            canvas.text(left - 12, y + 14 * j, part, anchor="end")


def shares_of(values: Sequence[float]) -> np.ndarray:
    """Shares as bytes."""
    return np.rint(np.clip(np.asarray(values, np.float64), 0, 1) * 255).astype(np.uint8)
