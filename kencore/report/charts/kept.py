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
from kencore.views import damage, sparsity
from kencore.views.spent import Spent, by_role
from kencore.words import numbers as wording
from kencore.words import spent as spent_words
from kencore.words.findings import Measure, depth_finding, lines, map_finding, measures, names, on_map
from kencore.words.palette import LIGHT, RUNS

_ROWS: Final = 40  # of a map, beyond which their names are thinned out


@styled()
def kept_map(cells: pd.DataFrame, terms: wording.Terms, measure: str = "share") -> Figure:
    """Blocks by roles, coloured by the share kept or lost, with the number in each cell.

    Colours span the range of what was pruned; what was not has a dash.

    Args:
        cells: `summaries.model_cells`.
        measure: ``share``, ``diff_lost`` or ``bits``, see `kencore.views.damage.usual`.
    """
    cells, places, roles = on_map(cells)
    what = measures(terms)[measure]
    shown = cells[measure].where(cells["pruned"] > 0).astype(float)  # NaN: not pruned, or not known
    low, high = damage.span(damage.stretched(cells, measure))
    digits = min(wording.range_digits(low, high), 1)
    tall, left = 30.0 if len(places) <= _ROWS else 12.0, 104.0
    wide = (WIDTH - left) / len(roles)
    axes = plot(tall * len(places), left=left, right=0, top=52)
    for line, value in zip(lines(cells), shown, strict=True):
        column, row = roles.index(line.role), places.index(line.place)
        size = 12 if wide > 44 else 10
        if np.isnan(value):
            axes.text(column, row, "–", ha="center", va="center_baseline", color=LIGHT.muted, fontsize=size)
            continue
        tone = shade((value - low) / (high - low))
        look = {"color": LIGHT.sequential[tone], "clip_on": False}
        axes.barh(row, 1 - 2 / wide, 1 - 2 / tall, left=column - 0.5 + 1 / wide, **look)
        if tall > 20:
            look = {"color": colors(LIGHT)[f"on{tone}"], "fontsize": size}
            said = f"{100 * value:.{digits}f} %" if what.share else f"{value:.2g}"
            axes.text(column, row, said, ha="center", va="center_baseline", **look)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.set(xlim=(-0.5, len(roles) - 0.5), ylim=(len(places) - 0.5, -0.5), xlabel="role")
    every = max(1, len(places) // _ROWS)
    axes.set_yticks(range(0, len(places), every), places[::every], color=LIGHT.text)
    axes.set_xticks(range(len(roles)), roles, color=LIGHT.text, fontsize=12 if wide > 64 else 11)
    _scale(axes.figure, what, low, high)
    finding = map_finding(cells, measure, terms)
    return Figure(
        name="kept-map",
        finding=finding,
        drawing=axes.figure,
        alt=f"Map of blocks by roles, {what.unit} in each cell. {finding}.",
        data=cells.drop(columns="place"),
        note=f"{what.label}: {what.explained}. Colors span the range of the matrices; – was not pruned.",
    )


def _scale(drawing: Any, what: Measure, low: float, high: float) -> None:
    """The ten colours of shares with both ends, in the upper right."""
    tall = 72 * drawing.get_figheight()
    axes = drawing.add_axes(((WIDTH - 212) / WIDTH, 1 - 18 / tall, 170 / WIDTH, 12 / tall))
    shares = ScalarMappable(Normalize(low, high), ListedColormap(LIGHT.sequential))
    bar = drawing.colorbar(
        shares, axes, orientation="horizontal", ticks=(low, high), format=percent if what.share else "%.2g"
    )
    bar.outline.set_visible(False)
    axes.tick_params(length=0, pad=4, labelsize=11, labelcolor=LIGHT.muted)
    look = {"xycoords": "axes fraction", "color": LIGHT.muted, "ha": "right", "va": "center_baseline"}
    words(axes, what.unit, (0, 0.5), (-8, 0), **look)


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
        "weights, the largest part"
    )
    return Figure(
        name="roles",
        finding=finding,
        drawing=axes.figure,
        data=roles,
        alt=f"Bars of kept and other weights by role. {finding}.",
    )


@styled()
def bytes_bars(found: Spent) -> Figure:
    """Bytes of each role in the subnetwork file by what they are, and of what every file says of itself."""
    roles = by_role(found)
    table = spent_words.table(found, roles)
    names = list(table["what"])
    looks: dict[str, dict[str, Any]] = {
        "symbols": {"color": LIGHT.kept},
        "scales": {"color": RUNS[1]},
        "values": {"facecolor": RUNS[2], "edgecolor": LIGHT.reset, "hatch": "///", "linewidth": 0},
        "said": {"color": LIGHT.reset_mark},
    }
    shown = {part: look for part, look in looks.items() if table[part].sum()}
    axes = rows(names, 28, keys=tuple(spent_words.PARTS[part] for part in shown))
    left = np.zeros(len(names))
    for part, look in shown.items():
        axes.barh(np.arange(len(names)), table[part] / 1e3, 0.64, left=left, label=spent_words.PARTS[part], **look)
        left += table[part].to_numpy() / 1e3
    axes.set_xlim(0, 1.02 * float(left.max()) or 1.0)
    axes.set_xlabel("kilobytes in the file")
    legend(axes)
    finding = spent_words.finding(found, roles)
    return Figure(
        name="bytes",
        finding=finding,
        drawing=axes.figure,
        data=table,
        alt=f"Bars of the bytes of each role in the file, by what they are. {finding}.",
        note=spent_words.EXPLAINED,
    )


@styled()
def block_bars(matrices: pd.DataFrame, terms: wording.Terms) -> Figure | None:
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
        note=f"Sparsity: share not {terms.done} of the block's pruned matrices. Line: all pruned matrices, also "
        "outside the blocks.",
    )
