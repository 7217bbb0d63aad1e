"""Pictures of what was kept: blocks by roles, what each role holds, sparsity by block."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize

from kencore.report.charts.draw import WIDTH, legend, percent, plot, rows, say, styled, words
from kencore.report.content import Figure
from kencore.report.style import colors, shade
from kencore.views import sparsity
from kencore.words import numbers as wording
from kencore.words.findings import depth_finding, map_finding, names, on_map
from kencore.words.palette import LIGHT, RUNS

_ROWS: Final = 40  # of a map, beyond which their names are thinned out


@styled()
def kept_map(cells: pd.DataFrame, terms: wording.Terms) -> Figure:
    """Blocks by roles, coloured by the share kept, with the number in each cell.

    Args:
        cells: `summaries.model_cells`.
    """
    cells, places, roles = on_map(cells)
    tall, left = 30.0 if len(places) <= _ROWS else 12.0, 104.0
    wide = (WIDTH - left) / len(roles)
    axes = plot(tall * len(places), left=left, right=0, top=52)
    x, y = ([every.index(name) for name in cells[column]] for every, column in ((roles, "role"), (places, "place")))
    tones = [shade(share) for share in cells["share"]]
    look = {"color": [LIGHT.sequential[tone] for tone in tones], "clip_on": False}
    axes.barh(y, 1 - 2 / wide, 1 - 2 / tall, left=np.array(x) - 0.5 + 1 / wide, **look)
    for column, row, share, tone in zip(x, y, cells["share"], tones, strict=True) if tall > 20 else ():
        look = {"color": colors(LIGHT)[f"on{tone}"], "fontsize": 12 if wide > 44 else 10}
        axes.text(column, row, f"{100 * share:.0f} %", ha="center", va="center_baseline", **look)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.set(xlim=(-0.5, len(roles) - 0.5), ylim=(len(places) - 0.5, -0.5), xlabel="role")
    every = max(1, len(places) // _ROWS)
    axes.set_yticks(range(0, len(places), every), places[::every], color=LIGHT.text)
    axes.set_xticks(range(len(roles)), roles, color=LIGHT.text, fontsize=12 if wide > 64 else 11)
    _scale(axes.figure)
    finding = map_finding(cells, "share", terms)
    return Figure(
        name="kept-map",
        finding=finding,
        drawing=axes.figure,
        alt=f"Map of blocks by roles, kept share in each cell. {finding}.",
        data=cells.drop(columns="place"),
        note="Share of entries that hold the value from before pruning.",
    )


def _scale(drawing: Any) -> None:
    """The ten colours of shares, 0 to 100 %, in the upper right."""
    high = 72 * drawing.get_figheight()
    axes = drawing.add_axes(((WIDTH - 212) / WIDTH, 1 - 18 / high, 170 / WIDTH, 12 / high))
    shares = ScalarMappable(Normalize(0, 1), ListedColormap(LIGHT.sequential))
    bar = drawing.colorbar(shares, axes, orientation="horizontal", ticks=(0, 0.5, 1), format=percent)
    bar.outline.set_visible(False)
    axes.tick_params(length=0, pad=4, labelsize=11, labelcolor=LIGHT.muted)
    look = {"xycoords": "axes fraction", "color": LIGHT.muted, "ha": "right", "va": "center_baseline"}
    words(axes, "share kept", (0, 0.5), (-8, 0), **look)


@styled()
def role_bars(roles: pd.DataFrame, terms: wording.Terms) -> Figure:
    """Entries of each role, kept and not kept.

    Args:
        roles: `summaries.by_role`.
    """
    table = roles.sort_values("params", kind="stable").iloc[::-1]
    labels = [wording.ROLES_EXPLAINED.get(role, role) for role in table["role"]]
    axes = rows(labels, 28, keys=(terms.kept, terms.gone_value))
    at, kept = np.arange(len(table)), table["kept"].to_numpy()
    gone = table["params"].to_numpy() - kept
    look = {"facecolor": LIGHT.reset, "edgecolor": LIGHT.reset_mark, "hatch": "///", "linewidth": 0}
    axes.barh(at, kept, 0.64, color=LIGHT.kept, label=terms.kept)
    axes.barh(at, gone, 0.64, left=kept, label=terms.gone_value, **look)
    axes.set_xlim(0, float(table["params"].max()) or 1.0)
    axes.set_xlabel("parameters")
    say(axes.xaxis, wording.count)
    legend(axes)
    whole = int(table["params"].sum())
    finding = (
        f"{labels[0].capitalize()}: {wording.percent(table['params'].iloc[0] / whole, 0)} of all "
        "parameters, the largest part"
    )
    return Figure(
        name="roles",
        finding=finding,
        drawing=axes.figure,
        data=roles,
        alt=f"Bars of kept and other parameters by role. {finding}.",
    )


@styled()
def block_bars(matrices: pd.DataFrame) -> Figure | None:
    """Sparsity of each block, with that of all pruned matrices; ``None`` without pruned blocks."""
    table = sparsity.by_block(matrices)
    if table.empty:
        return None
    gone, entries = sparsity.overall(matrices)
    level, labels = gone / entries, names(table)
    high = min(1.0, 1.15 * max(level, float(table["sparsity"].max()))) or 1.0
    named = f"all pruned matrices: {wording.percent(level)}"
    axes = plot(200, left=76, right=0, keys=(named,))
    axes.bar(np.arange(len(table)), table["sparsity"], 0.7, color=RUNS[0])
    axes.axhline(level, color=LIGHT.text, lw=1.5, ls=(0, (4, 2.7)), label=named)
    axes.set(xlim=(-0.5, len(table) - 0.5), ylim=(0, high), xlabel="block", ylabel="sparsity")
    every = max(1, len(table) // 24)
    axes.set_xticks(np.arange(len(table))[::every], [label.removeprefix("block ") for label in labels[::every]])
    axes.grid(False, axis="x")
    say(axes.yaxis, percent)
    legend(axes)
    finding = depth_finding(table, labels)
    return Figure(
        name="sparsity-blocks",
        finding=finding,
        drawing=axes.figure,
        data=table,
        alt=f"Bars of sparsity by block, with that of all pruned matrices as a line. {finding}.",
        note="Sparsity: share not kept of the block's pruned matrices. Line: all pruned matrices, also outside "
        "the blocks.",
    )
