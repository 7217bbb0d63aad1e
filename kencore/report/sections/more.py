"""Sections that only some reports have: a search, a sweep, a tuning, a second run."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kencore.errors import KencoreError
from kencore.report.charts.curves import agreement, search_curve, trade_off, tuning_curve
from kencore.report.content import Block, Figure, Section, Table, Text
from kencore.runs.run import Run
from kencore.runs.shelf import POINT
from kencore.sweeps.pairs import could_be_chance
from kencore.sweeps.shelf import Sweep, open_sweep
from kencore.system.progress import Progress
from kencore.views import tradeoff
from kencore.views.compare.masks import Comparison, compare, grouped
from kencore.views.compare.quality import Difference, difference, settings
from kencore.words import cards
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words import search_and_recover as learned
from kencore.words import sweep as ways
from kencore.words.findings import lines


def searches(run: Run) -> list[Figure]:
    """What a search for an allocation saw, a picture for each of its steps."""
    trace = run.trace or {}
    return [
        search_curve(trace[f"{step}_search"], f"search-{step}", f"Search over {step}s")
        for step in ("block", "row")
        if trace.get(f"{step}_search")
    ]


# --- a sweep ----------------------------------------------------------------------------------


def sweep_of(run: Run) -> Sweep | None:
    """The sweep that the run is a point of, where it is still in the store."""
    found = POINT.match(run.id)
    if found is None:
        return None
    try:
        return open_sweep(found.group().removeprefix("sweep-").removesuffix("-"))
    except KencoreError:
        return None


def sweep(run: Run) -> Section | None:
    """Quality against size of the sweep that the run is a point of; ``None`` without one."""
    found = sweep_of(run)
    if found is None:
        return None
    table, labels = tradeoff.curve(found.points, found.baselines), ways.labels(found)
    if table.empty:
        return None
    dense = found.dense
    measure = str(table["metric"].iloc[0])
    figure = trade_off(
        table, labels, run.id, None if dense is None else float(dense[measure]), sweep_finding(table, labels, run.id)
    )
    points = len(found.points)
    text = (
        f"One of {wording.plural(points, 'point')} of the sweep {found.id}, all measured on the same data. "
        "Intervals are 95 %."
    )
    return Section(
        name="trade-off",
        title="Quality against size",
        blocks=(figure, Text(text=text, quiet=True), _points(table, labels, run.id)),
    )


def sweep_finding(table: pd.DataFrame, labels: dict[str, tuple[str, str]], own: str) -> str:
    """The best way at the run's own budget and who is tied with it, in one sentence."""
    mine = next((line for line in lines(table) if own in line.runs), None)
    best = tradeoff.best_per_budget(table, could_be_chance)
    if mine is None or best.empty:
        return "Quality of each way to prune by kept share"
    at = next(line for line in lines(best) if ways.budget(line) == ways.budget(mine))
    said = f"At {ways.budget(mine)}{'' if mine.keep != mine.keep else ' kept'} "
    said += f"{labels[at.best][0]} is best ({_value(at.metric, at.quality)})"
    if at.best == mine.name:
        said = said.replace(" is best", ", this run's way, is best")
    tied = [labels[name][0] for name in at.tied]
    return said + (f", tied with {', '.join(tied)}" if tied else "")


def _value(metric: str, value: float) -> str:
    return facts.perplexity(value) if metric == "perplexity" else wording.percent(value)


def _points(table: pd.DataFrame, labels: dict[str, tuple[str, str]], own: str) -> Table:
    rows, coded = [], bool(table[["bits", "bytes"]].notna().any(axis=None))
    for line in lines(table):
        say = [_value(line.metric, value) for value in (line.quality, line.low, line.high)]
        known = line.low == line.low
        rows.append(
            (
                labels[line.name][0]
                + (" (baseline)" if line.baseline else "")
                + (" (this run)" if own in line.runs else ""),
                ways.budget(line),
                wording.percent(line.kept_share),
                wording.size(line.bytes_stored),
                f"{say[0]} ({say[1]} to {say[2]})" if known else say[0],
                str(line.seeds),
            )
        )
    return Table(
        name="sweep",
        caption="Every point of the sweep",
        folded=len(rows) > 12,
        columns=(
            "Way to prune",
            "Budget",
            "Kept or changed" if coded else "Kept",
            "Size",
            str(table["metric"].iloc[0]),
            "Seeds",
        ),
        rows=tuple(rows),
        data=table.assign(runs=[" ".join(runs) for runs in table["runs"]]),
    )


# --- tuning -----------------------------------------------------------------------------------


def tuning(run: Run) -> Section | None:
    """How a run was tuned after pruning; ``None`` where it was not."""
    told = run.tuning
    if told is None:
        return None
    figure = tuning_curve(told)
    blocks: list[Block] = [figure] if figure is not None else []
    blocks += [Text(text=f"{learned.gap_finding(told)}."), _gaps(told), _how(told)]
    blocks += [Text(text=str(note), quiet=True) for note in told.get("notes") or ()]
    return Section(name="tuning", title="Recovery after pruning", blocks=tuple(blocks))


def _gaps(told: dict[str, Any]) -> Table:
    table = learned.gap_table(told)
    language = told["task"] == "language"
    rows = []
    for label, part in table.groupby("label", sort=False):
        by_side = part.set_index("side")["value"]
        say = facts.perplexity if language else wording.percent
        step = part["what"].iloc[0]
        rows.append(
            (str(label), say(by_side["train"]), say(by_side["held_out"]), learned.gap_text(told["gap"][step], told))
        )
    what = "Perplexity" if language else "Accuracy"
    return Table(
        name="gap",
        caption=f"{what} on training and on held-out data",
        columns=("Model", "Training data", "Held-out data", "Gap"),
        rows=tuple(rows),
        data=table,
    )


def _how(told: dict[str, Any]) -> Table:
    spec, parent = told["spec"], told["parent"]
    unit = "windows" if told["task"] == "language" else "sentences"
    rows = {
        "Tuned from": str(parent["id"]),
        "Learned from": f"{told['train']['count']:,} {unit}: {told['train']['data']}",
        "Held out": f"{told['held_out']['count']:,} {unit}: {told['held_out']['data']}",
        "Steps": f"{told['steps']:,} of {told['steps_asked']:,}, {spec['batch']} {unit} each; kept step "
        f"{told['best_step']:,}",
        "Learning rate": f"{spec['lr']:g}, {spec['schedule']}, weight decay {spec['weight_decay']:g}",
        "Trained": f"{told['trained']:,} weights",
        "Took": f"{wording.seconds(told['seconds']['training'])} of training on {told['device']}",
        "Seed": str(spec["seed"]),
    }
    return Table(name="tuned", caption="How it was tuned", columns=("What", "Value"), rows=tuple(rows.items()))


# --- a second run -----------------------------------------------------------------------------


def beside(run: Run, other: Run, progress: Progress | None = None) -> Section:
    """The run beside another one: settings, quality, size, and which entries both keep.

    Raises:
        IncomparableRunsError: they have no pruned matrix in common, or are one.
    """
    found = compare([run, other], progress)
    finding = overlap_finding(found)
    change = difference(run.metrics, other.metrics)
    blocks: list[Block] = [agreement(grouped(found.pair(), ["role"]), finding)]
    blocks += [_beside(run, other, found), Text(text=quality_change(change, run.id, other.id))]
    blocks.append(_differing(run, other))
    blocks += [Text(text=note, quiet=True) for note in found.notes]
    return Section(name="compared", title=f"Beside {other.id}", blocks=tuple(blocks))


def overlap_finding(found: Comparison) -> str:
    """How many entries both keep, against chance, in one sentence."""
    whole = found.overall()
    return (
        f"Both runs keep {wording.percent(whole.jaccard)} of the weights kept by either; by chance it would be "
        f"{wording.percent(whole.chance)}"
    )


def quality_change(change: Difference | str, first: str, second: str) -> str:
    """The second run's quality against the first one's, in one sentence."""
    if isinstance(change, str):
        return f"Quality cannot be compared: {change}."
    language = change.measure == "nll"
    by = f"{change.change:+.3f} nats per token".replace("-", "−") if language else facts.points(change.change)
    text = f"Against {first}, {second} has {by} of {'loss' if language else change.measure}"
    if change.low is not None and change.high is not None:
        scale, digits = (1, 3) if language else (100, 1)
        ends = (f"{scale * end:+.{digits}f}" for end in (change.low, change.high))
        text += f" (95 % interval {' to '.join(ends)})".replace("-", "−")
    if change.could_be_chance is not None:
        text += ", could be chance" if change.could_be_chance else ", more than chance"
    return f"{text}; {'measured in pairs' if change.paired else 'not measured in pairs'}."


def _beside(run: Run, other: Run, found: Comparison) -> Table:
    from kencore.views import tables as summaries

    sides = [(one, summaries.totals(one.matrices)) for one in (run, other)]
    rows = [
        ("What it is", *(facts.subject(one.spec) for one, _ in sides)),
        (
            "Kept in pruned tensors",
            *(f"{wording.exact(total.kept_pruned)} of {wording.exact(total.pruned)}" for _, total in sides),
        ),
        ("Size of the kept part", *(wording.size(total.bytes_stored) for _, total in sides)),
        ("Quality, before → after", *(_quality(one) for one, _ in sides)),
    ]
    return Table(name="beside", caption="The two runs", columns=("What", run.id, other.id), rows=tuple(rows))


def _quality(run: Run) -> str:
    if "dense" not in run.metrics:
        return "not measured"
    number = cards.quality(run.metrics)
    return f"{number.label.split(',')[0].lower()} {number.value} ({number.beside})"


def _differing(run: Run, other: Run) -> Block:
    found = settings([run, other])
    if not found:
        return Text(text="All settings are the same.", quiet=True)
    return Table(
        name="differing",
        caption="Settings that differ",
        columns=("Setting", run.id, other.id),
        rows=tuple((name, *(str(value) for value in values)) for name, values in found.items()),
    )
