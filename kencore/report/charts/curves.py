"""Pictures with a scale: measured quality, a search, a sweep, a tuning, agreement of two runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from kencore.methods.table import method_color
from kencore.report.charts.draw import legend, percent, plot, rows, say, styled, words
from kencore.report.content import Figure
from kencore.views import sparsity
from kencore.words import numbers as wording
from kencore.words import quality as judged
from kencore.words import run as facts
from kencore.words import search_and_recover as learned
from kencore.words.findings import lines
from kencore.words.palette import LIGHT, RUNS

FAR: Final = 4.0  # times the dense perplexity: what lies beyond is drawn at the edge
SHAPES: Final = {"circle": "o", "square": "s", "diamond": "D", "triangle": ">"}
DASHES: Final = ("-", (0, (3.5, 2)), (0, (1, 1.5)), (0, (3.5, 1.5, 1, 1.5)))


@styled()
def quality_dots(metrics: dict[str, Any], method: str) -> Figure:
    """Accuracy, similarity or perplexity of each measured model with its 95 % interval."""
    language = facts.is_language(metrics)
    if language:
        table = judged.perplexity_table(metrics, method)
        finding = judged.perplexity_finding(table, metrics, method)
        measure, scale = "perplexity", 1.0
    else:
        table = judged.quality_table(metrics, method)
        finding = judged.quality_finding(table, metrics, method)
        measure, scale = facts.share_name(metrics), 100.0
    values = scale * table[[measure, f"{measure}_low", f"{measure}_high"]].to_numpy(np.float64)
    own = values[int((table["what"] == "pruned").to_numpy().argmax()), 0]
    logs = language and own > FAR * values[0, 0]  # the run itself is never at the edge: powers of ten hold all
    edge = FAR * values[0, 0] if language and not logs else math.inf
    far = values[:, 0] > edge
    low, high = spread(values[~far])
    axes = rows(list(table["label"]), 46, left=196, right=44)
    if logs:
        axes.set_xscale("log")
        low, high = 0.8 * np.nanmin(values), 1.25 * np.nanmax(values)
    axes.set_xlim(max(0.0, low), high if language else min(100.0, high))
    if np.isfinite(values[0]).all():
        axes.axvspan(*values[0, 1:], color=LIGHT.reset, alpha=0.7, lw=0)
    right = axes.get_xlim()[1]
    for i, line in enumerate(lines(table)):
        value, floor, ceiling = values[i]
        x, y, color = min(value, right), i + 0.17, judged.color(line.what, method, LIGHT)
        shape, _, opened = ("triangle" if far[i] else judged.symbol(line.what, method)).partition("-")
        if not far[i]:
            axes.plot([floor, ceiling], [y, y], "|-", color=color, ms=9, mew=2)
        inside = LIGHT.background if opened else color
        axes.plot(x, y, SHAPES.get(shape, "o"), color=color, ms=10, mew=2, mfc=inside, clip_on=False)
        said = facts.perplexity(value) if language else f"{value:.1f} %"
        words(axes, f"{said} →" if far[i] else said, (x, y), (0, 12), ha="right" if far[i] else "center")
    known = bool(np.isfinite(values[:, 1:]).any())
    title = f"{measure}, lower is better" if language else measure
    axes.set_xlabel(title + (", with 95 % interval" if known else "") + (" (log scale)" if logs else ""))
    say(axes.xaxis, "{:,g}".format if language else "{:g} %".format, logs=logs)
    far_note = " Arrows mark values beyond the axis." if far.any() else ""
    return Figure(
        name="quality",
        finding=finding,
        drawing=axes.figure,
        data=table,
        alt=f"{measure.capitalize()} of each model{' with its 95 % interval' if known else ''}. {finding}.",
        note=f"Band: interval of the unpruned model.{far_note}" if known else "",
    )


@styled()
def search_curve(search: Mapping[str, Any], name: str, what: str) -> Figure:
    """Cost of each candidate of a search, the chosen one marked.

    Args:
        search: ``block_search`` or ``row_search`` of a trace.
        what: the step in words.
    """
    kind = learned.kind_of(search)
    x = np.asarray(search[kind.candidates], np.float64)
    y = np.asarray([np.nan if cost is None else cost for cost in search[kind.costs]], np.float64)
    chosen = float(search["chosen"])
    at = int(np.argmin(np.abs(x - chosen)))
    order = np.argsort(x, kind="stable")
    finding = f"{what}: {learned.flatness_words(kind, sparsity.flatness(x.tolist(), y.tolist()), chosen)}"
    axes = plot(220)
    found = order[np.isfinite(y[order])]
    axes.plot(x[found], y[found], "o-", color=RUNS[0])
    if math.isfinite(y[at]):
        ring(axes, f"chosen: {learned.number(chosen)}", (x[at], y[at]), RUNS[0])
    low, high = spread(y, 0.12)
    axes.set(ylim=(low - 0.1 * (high - low), high), xlabel=kind.axis, ylabel=kind.unit)  # words have room below
    say(axes.xaxis)
    say(axes.yaxis)
    return Figure(
        name=name,
        finding=finding,
        drawing=axes.figure,
        alt=f"Line of {kind.unit} over {kind.sign}, the chosen one marked. {finding}.",
        data=pd.DataFrame({kind.candidates: x, kind.costs: y, "chosen": np.arange(len(x)) == at}),
    )


@styled()
def tuning_curve(told: Mapping[str, Any]) -> Figure | None:
    """Training and held-out loss over steps; ``None`` without points.

    Args:
        told: a tuned run's ``tuning.json``.
    """
    if not told["curve"]:
        return None
    table = learned.curve_table(told["curve"])
    total, best = max(int(told["curve"][-1]["steps"]), 1), int(told["best_step"])
    keys = ("training", "held out", f"kept: step {best:,}")
    axes = plot(220, keys=keys)
    looks = ((LIGHT.muted, 1.5, ""), (LIGHT.primary, 2.5, "o"))
    for side, label, (color, width, dots) in zip(("train", "held_out"), keys, looks, strict=False):
        known = table[np.isfinite(table[f"{side}_loss"])]
        axes.plot(known["step"], known[f"{side}_loss"], color=color, lw=width, marker=dots, label=label)
    axes.axvline(best, color=LIGHT.text, lw=1, ls=(0, (2, 3)), label=keys[2], zorder=1.5)
    axes.margins(y=0.12)
    axes.set(xlim=(-0.02 * total, 1.02 * total), xlabel="optimizer steps", ylabel="loss (nats)")
    say(axes.xaxis)
    say(axes.yaxis)
    legend(axes)
    finding = learned.curve_finding(table, total, best)
    return Figure(
        name="tuning",
        finding=finding,
        drawing=axes.figure,
        data=table,
        alt=f"Training and held-out loss over optimizer steps. {finding}.",
    )


@styled()
def trade_off(
    table: pd.DataFrame, labels: Mapping[str, tuple[str, str]], own: str, dense: float | None, finding: str
) -> Figure:
    """Quality of each way to prune by the share kept, or by bytes where changes are coded; the run itself marked.

    Args:
        table: `kencore.tradeoff.curve`.
        labels: each ``name`` of it in words, and its method.
        own: the id of the run.
        dense: the quality of the unpruned model.
    """
    metric = str(table["metric"].iloc[0])
    language = metric == "perplexity"
    scale, unit = (1.0, "") if language else (100.0, " %")
    every = scale * np.append(table[["quality", "low", "high"]], np.nan if dense is None else dense)
    limit = FAR * scale * dense if dense is not None and language else math.inf
    names = list(dict.fromkeys(table["name"]))
    said = {name: labels.get(name, (name, "")) for name in names}
    by_size = bool(table[["bits", "bytes"]].notna().any(axis=None))  # a share says nothing of coded differences
    column, across = (
        ("bytes_stored", "size of the subnetwork file")
        if by_size
        else ("kept_share", "kept share of the pruned tensors")
    )
    axes = plot(280, keys=[label for label, _ in said.values()])
    axes.set_ylim(*spread(every[every <= limit], 0.12))
    top = axes.get_ylim()[1]
    if dense is not None:
        axes.axhline(scale * dense, color=LIGHT.muted, lw=1.5, ls=(0, (4, 2.7)))
        place = {"xycoords": ("axes fraction", "data"), "ha": "right"}
        words(axes, "unpruned", (1, scale * dense), (0, 5), color=LIGHT.muted, **place)
    for i, (name, (label, method)) in enumerate(said.items()):
        part, color = table[table["name"] == name].sort_values(column, kind="stable"), method_color(method)
        shape, dash = list(SHAPES.values())[i % len(SHAPES)], DASHES[i // len(SHAPES) % len(DASHES)]
        x, y = part[column].to_numpy(float), np.minimum(scale * part["quality"], top).to_numpy()
        axes.plot(x, y, color=color, marker=shape, ls=dash, label=label, clip_on=False)
        for at in np.flatnonzero([own in runs for runs in part["runs"]]):
            ring(axes, "this run", (x[at], y[at]), color, shape)
    axes.margins(x=0.04)
    axes.set(xlabel=across, ylabel=f"{metric}, lower is better" if language else metric)
    say(axes.xaxis, (lambda size: wording.size(round(size))) if by_size else percent)
    say(axes.yaxis, lambda value: f"{value:,g}{unit}")
    legend(axes)
    return Figure(
        name="trade-off",
        finding=finding,
        drawing=axes.figure,
        data=table.assign(runs=[" ".join(runs) for runs in table["runs"]]),
        alt=f"Lines of {metric} over the {across}, one per way to prune. {finding}.",
        note="Values beyond the axis are drawn at its edge." if np.nanmax(every) > limit else "",
    )


@styled()
def agreement(table: pd.DataFrame, finding: str) -> Figure:
    """Jaccard index of two runs by role, and that of chance.

    Args:
        table: `kencore.compare.grouped` by role.
    """
    keys = ("the two runs", "random masks")
    axes = rows([wording.ROLES_EXPLAINED.get(role, role) for role in table["role"]], 34, keys=keys)
    at = np.arange(len(table))
    looks = (("jaccard", RUNS[0], RUNS[0]), ("chance", LIGHT.muted, LIGHT.background))
    for key, (column, color, inside) in zip(keys, looks, strict=True):
        axes.plot(table[column], at, "o", color=color, mfc=inside, mew=2, ms=9, label=key, clip_on=False)
    axes.set(xlim=(0, 1), xlabel="kept by both, over kept by either")
    say(axes.xaxis, percent)
    legend(axes)
    return Figure(
        name="agreement",
        finding=finding,
        drawing=axes.figure,
        data=table,
        alt=f"Dots of the share of weights that both runs keep, by role. {finding}.",
        note="Random masks keep as many weights of each row as the two runs do.",
    )


# --- marks ------------------------------------------------------------------------------------


def spread(values: Any, room: float = 0.08) -> tuple[float, float]:
    """Ends of an axis around finite values, with some room; 0 to 1 without any."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    more = room * (high - low) or abs(high) * 0.05 or 1.0
    return low - more, high + more


def ring(axes: Any, text: str, place: tuple[float, float], color: str, shape: str = "o") -> None:
    """A ring around a point, and words below it."""
    axes.plot(*place, "o", ms=18, mew=2, mec=LIGHT.text, mfc=LIGHT.background, clip_on=False, zorder=4)
    axes.plot(*place, shape, color=color, clip_on=False, zorder=5)
    box = {"facecolor": LIGHT.background, "edgecolor": "none", "alpha": 0.8, "pad": 1}
    words(axes, text, place, (0, -26), zorder=6, bbox=box)
