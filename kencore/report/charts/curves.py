"""Pictures with a scale: measured quality, a search, a sweep, a tuning, agreement of two runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from kencore.report.charts.axes import WIDTH, Axis, across, legend, spread, up
from kencore.report.charts.canvas import Canvas, Shape
from kencore.report.charts.kept import row_labels
from kencore.report.content import Figure
from kencore.views import sparsity
from kencore.words import numbers as wording
from kencore.words import quality as judged
from kencore.words import run as facts
from kencore.words import search_and_recover as learned
from kencore.words.findings import lines
from kencore.words.palette import LIGHT, METHODS, RUNS

FAR: Final = 4.0  # times the dense perplexity: what lies beyond is drawn at the edge
SHAPES: Final[tuple[Shape, ...]] = ("circle", "square", "diamond", "triangle")
DASHES: Final[tuple[tuple[float, ...], ...]] = ((), (7, 4), (2, 3), (7, 3, 2, 3))


def quality_dots(metrics: dict[str, Any], method: str) -> Figure:
    """Accuracy or perplexity of each measured model with its 95 % interval."""
    language = facts.is_language(metrics)
    if language:
        table = judged.perplexity_table(metrics, method)
        finding = judged.perplexity_finding(table, metrics, method)
        measure, scale = "perplexity", 1.0
    else:
        table = judged.quality_table(metrics, method)
        finding = judged.quality_finding(table, metrics, method)
        measure, scale = "accuracy", 100.0
    values = scale * table[[measure, f"{measure}_low", f"{measure}_high"]].to_numpy(np.float64)
    edge = FAR * values[0, 0] if language else math.inf
    near = values[values[:, 0] <= edge]
    low, high = spread(np.concatenate([near.ravel()]).tolist())
    left, top, tall = 196.0, 12.0, 46.0
    bottom = top + tall * len(table)
    axis = Axis(low=max(0.0, low), high=high if language else min(100.0, high), start=left, end=WIDTH - 44)
    canvas = Canvas(WIDTH, bottom + 46)
    if np.isfinite(values[0]).all():
        ends = axis(values[0, 1]), axis(values[0, 2])
        canvas.box(ends[0], top, ends[1] - ends[0], tall * len(table), "reset", opacity=0.7)
    title = f"{measure}, lower is better" if language else measure
    known = bool(np.isfinite(values[:, 1:]).any())
    across(
        canvas,
        axis,
        top,
        bottom,
        title + (", with 95 % interval" if known else ""),
        (lambda at: f"{at:,.4g}") if language else (lambda at: f"{at:g} %"),
    )
    for i, line in enumerate(lines(table)):
        value, floor, ceiling = values[i]
        y, color = top + tall * (i + 0.5) + 8, _named(judged.color(line.what, method, LIGHT))
        far = value > edge
        if math.isfinite(floor) and not far:
            canvas.line([(axis(floor), y), (axis(ceiling), y)], color, 2)
            for end in (floor, ceiling):
                canvas.line([(axis(end), y - 4), (axis(end), y + 4)], color, 2)
        symbol = judged.symbol(line.what, method)
        canvas.dot(
            axis(value), y, color, "triangle" if far else _shape(symbol), open=symbol.endswith("-open") and not far
        )
        said = facts.perplexity(value) if language else f"{value:.1f} %"
        canvas.text(axis(value), y - 12, f"{said} →" if far else said, anchor="end" if far else "middle")
    row_labels(canvas, list(table["label"]), left, top, tall)
    far_note = " An arrow marks what lies beyond the axis." if (values[:, 0] > edge).any() else ""
    return Figure(
        name="quality",
        finding=finding,
        drawing=canvas.drawing(),
        data=table,
        alt=f"{measure.capitalize()} of each model{' with its 95 % interval' if known else ''}. {finding}.",
        note=f"The band is the interval of the unpruned model.{far_note}" if known else "",
    )


def _named(color: str) -> str:
    """A colour of the palette by its name, so that it follows the theme."""
    return {LIGHT.muted: "muted", LIGHT.primary: "primary"}.get(color, color)


def _shape(symbol: str) -> Shape:
    name = symbol.removesuffix("-open")
    return next((shape for shape in SHAPES if shape == name), "circle")


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
    best, high = float(np.nanmin(y)), float(np.nanmax(y))  # room for the label below the lowest
    plot = _plot(x.tolist(), [best - 0.12 * (high - best), high], kind.axis, kind.unit)
    plot.line([(x[i], y[i]) for i in order if math.isfinite(y[i])], RUNS[0], dots="circle")
    if math.isfinite(y[at]):
        plot.canvas.dot(plot.x(x[at]), plot.y(y[at]), "text", radius=8, open=True)
        plot.canvas.dot(plot.x(x[at]), plot.y(y[at]), RUNS[0], radius=3)
        plot.canvas.text(plot.x(x[at]), plot.y(y[at]) + 24, f"chosen: {learned.number(chosen)}", anchor="middle")
    return Figure(
        name=name,
        finding=finding,
        drawing=plot.canvas.drawing(),
        alt=f"Line of {kind.unit} over {kind.sign}, the chosen one marked. {finding}.",
        data=pd.DataFrame({kind.candidates: x, kind.costs: y, "chosen": np.arange(len(x)) == at}),
    )


def tuning_curve(told: Mapping[str, Any]) -> Figure | None:
    """Training and held-out loss over steps; ``None`` without points.

    Args:
        told: a tuned run's ``tuning.json``.
    """
    if not told["curve"]:
        return None
    table = learned.curve_table(told["curve"])
    total, best = max(int(told["curve"][-1]["steps"]), 1), int(told["best_step"])
    sides = {
        side: [
            (float(line.step), float(value)) for line in lines(table) if math.isfinite(value := getattr(line, column))
        ]
        for side, column in (("training", "train_loss"), ("held out", "held_out_loss"))
    }
    every = [value for points in sides.values() for _, value in points]
    plot = _plot([0.0, float(total)], every, "optimizer steps", "loss (nats)", room=0.02)
    canvas = plot.canvas
    legend(
        canvas,
        0,
        [
            ("training", lambda x, y: canvas.line([(x, y), (x + 16, y)], "muted", 1.5)),
            ("held out", lambda x, y: canvas.line([(x, y), (x + 16, y)], "primary", 2.5)),
            (f"kept: step {best:,}", lambda x, y: canvas.line([(x, y), (x + 16, y)], "text", 1, (2, 3))),
        ],
        left=plot.x.start,
    )
    canvas.line([(plot.x(best), plot.y.end), (plot.x(best), plot.y.start)], "text", 1, (2, 3))
    plot.line(sides["training"], "muted", 1.5)
    plot.line(sides["held out"], "primary", 2.5, dots="circle")
    finding = learned.curve_finding(table, total, best)
    return Figure(
        name="tuning",
        finding=finding,
        drawing=canvas.drawing(),
        data=table,
        alt=f"Training and held-out loss over optimizer steps. {finding}.",
    )


def trade_off(
    table: pd.DataFrame, labels: Mapping[str, tuple[str, str]], own: str, dense: float | None, finding: str
) -> Figure:
    """Quality of each way to prune by the share kept, the run itself marked.

    Args:
        table: `kencore.views.tradeoff.curve`.
        labels: each ``name`` of it in words, and its method.
        own: the id of the run.
        dense: the quality of the unpruned model.
    """
    metric = str(table["metric"].iloc[0])
    scale, unit = (1.0, "") if metric == "perplexity" else (100.0, " %")
    y = (scale * table[["quality", "low", "high"]].to_numpy(np.float64)).ravel().tolist()
    y += [] if dense is None else [scale * dense]
    limit = FAR * scale * dense if dense is not None and metric == "perplexity" else math.inf
    title = f"{metric}, lower is better" if metric == "perplexity" else metric
    plot = _plot(
        [float(share) for share in table["kept_share"]],
        [value for value in y if value <= limit],
        "kept of what is pruned",
        title,
        say_x=lambda share: wording.percent(share, 0),
        say_y=lambda value: f"{value:,.4g}{unit}",
        top=64,
        tall=280,
    )
    canvas, marks = plot.canvas, []
    if dense is not None:
        canvas.line([(plot.x.start, plot.y(scale * dense)), (plot.x.end, plot.y(scale * dense))], "muted", 1.5, (6, 4))
        canvas.text(plot.x.end, plot.y(scale * dense) - 6, "unpruned", anchor="end", color="muted")
    for i, (name, part) in enumerate(table.groupby("name", sort=False)):
        label, method = labels.get(str(name), (str(name), ""))
        color, shape = METHODS.get(method, METHODS["random"]), SHAPES[i % len(SHAPES)]
        dash = DASHES[(i // len(SHAPES)) % len(DASHES)]
        points = [(line.kept_share, scale * line.quality) for line in lines(part)]
        plot.line(points, color, 2, dots=shape, dash=dash)
        marks.append((label, _mark(canvas, color, shape)))
        for line in lines(part):
            if own in line.runs:
                place = plot.x(line.kept_share), plot.y(scale * line.quality)
                canvas.dot(*place, "text", radius=10, open=True)
                canvas.dot(*place, color, shape)
                canvas.text(place[0], place[1] + 26, "this run", anchor="middle", bold=True)
    legend(canvas, 0, marks)
    return Figure(
        name="trade-off",
        finding=finding,
        drawing=canvas.drawing(),
        data=table.assign(runs=[" ".join(runs) for runs in table["runs"]]),
        alt=f"Lines of {metric} over the share kept, one per way to prune. {finding}.",
        note="Values beyond the axis are drawn at its edge." if max(y) > limit else "",
    )


def agreement(table: pd.DataFrame, finding: str) -> Figure:
    """Jaccard index of two runs by role, and that of chance.

    Args:
        table: `kencore.views.compare.masks.grouped` by role.
    """
    left, top, tall = 190.0, 30.0, 34.0
    bottom = top + tall * len(table)
    canvas = Canvas(WIDTH, bottom + 46)
    legend(
        canvas,
        0,
        [
            ("the two runs", lambda x, y: canvas.dot(x + 8, y, RUNS[0])),
            ("random masks", lambda x, y: canvas.dot(x + 8, y, "muted", open=True)),
        ],
    )
    axis = Axis(low=0, high=1, start=left, end=WIDTH - 30)
    across(canvas, axis, top, bottom, "kept by both, over kept by either", lambda share: wording.percent(share, 0))
    for i, line in enumerate(lines(table)):
        y = top + tall * (i + 0.5)
        if math.isfinite(line.chance):
            canvas.dot(axis(line.chance), y, "muted", open=True)
        if math.isfinite(line.jaccard):
            canvas.dot(axis(line.jaccard), y, RUNS[0])
        name = wording.ROLES_EXPLAINED.get(line.role, line.role)
        canvas.text(left - 8, y + 4, name, anchor="end")
    return Figure(
        name="agreement",
        finding=finding,
        drawing=canvas.drawing(),
        data=table,
        alt=f"Dots of the share of entries that both runs keep, by role. {finding}.",
        note="Random masks are drawn as often from each row as the two runs keep of it.",
    )


# --- a plot -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A canvas with two axes."""

    canvas: Canvas
    x: Axis
    y: Axis

    def line(
        self,
        points: Sequence[tuple[float, float]],
        color: str,
        width: float = 2.0,
        *,
        dots: Shape | None = None,
        dash: tuple[float, ...] = (),
    ) -> None:
        """A line through values, with marks where asked for."""
        places = [(self.x(x), self.y(y)) for x, y in points]
        if len(places) > 1:
            self.canvas.line(places, color, width, dash)
        for place in places if dots else ():
            self.canvas.dot(*place, color, dots or "circle", 3.5)


def _plot(
    x: Sequence[float],
    y: Sequence[float],
    x_title: str,
    y_title: str,
    *,
    say_x: Callable[[float], str] = lambda value: f"{value:,g}",
    say_y: Callable[[float], str] = lambda value: f"{value:,.4g}",
    top: float = 30,
    tall: float = 220,
    room: float = 0.04,
) -> Plot:
    left, bottom = 96.0, top + tall
    low, high = spread(y, 0.12)
    from_x, to_x = spread(x, room)
    horizontal = Axis(low=from_x, high=to_x, start=left, end=WIDTH - 24)
    vertical = Axis(low=low, high=high, start=bottom, end=top)
    canvas = Canvas(WIDTH, bottom + 46)
    up(canvas, vertical, left, WIDTH - 24, y_title, say_y)
    across(canvas, horizontal, top, bottom, x_title, say_x)
    return Plot(canvas=canvas, x=horizontal, y=vertical)


def _mark(canvas: Canvas, color: str, shape: Shape) -> Callable[[float, float], None]:
    return lambda x, y: canvas.dot(x + 8, y, color, shape, 4)
