"""What a sweep says, in sentences: pure functions of its numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from app.charts.base import lines
from kencore.words import numbers as wording
from kencore.words import run as facts

if TYPE_CHECKING:
    import pandas as pd

    from app.charts.tradeoff_data import Curves, Measure, Reference
    from kencore.sweeps.shelf import Sweep


def finding(curves: Curves, *, sizes: bool = False) -> str:
    """How far down the best way holds the dense model's quality, and where its knee is.

    Args:
        sizes: also say how many bytes that is.
    """
    own = curves.table[~curves.table["baseline"].astype(bool)]
    if own.empty:
        return "No point measured yet"
    what, say, dense = curves.measure.label, curves.measure.say, curves.dense
    best = max(lines(own), key=lambda line: line.score)
    label = curves.ways[best.name].label
    if dense is None or math.isnan(_limit(dense, curves.measure)):
        return f"{label} has the best {what}: {say(best.value)} at {best.budget}"
    reached = {}
    for name, part in own.groupby("name", sort=False):
        if (line := _reach(part, dense, curves.measure)) is not None:
            reached[str(name)] = line
    if not reached:
        return (
            f"No way to prune keeps {what} within the interval of the {dense.label}; closest: {label} at "
            f"{best.budget}, {say(best.value)} against {say(dense.value)}"
        )
    return _holds(curves, own, reached, dense, sizes)


def _holds(curves: Curves, own: pd.DataFrame, reached: dict[str, Any], dense: Reference, sizes: bool) -> str:
    least = min(line.size for line in reached.values())
    winners = [name for name, line in reached.items() if line.size <= least + 1e-9]
    winners.sort(key=lambda name: -reached[name].score)
    named = [curves.ways[name].label for name in winners]
    one, first = len(named) == 1, named[0]
    who = first if one else f"{', '.join(named[:-1])} and {named[-1]}"
    who = who if len(named) < 4 else f"{len(named)} ways, {first} before the others,"
    budget = reached[winners[0]].budget
    single = all((own["name"] == name).sum() == 1 for name in winners)
    text = (
        f"{who} {'keeps' if one else 'keep'} {curves.measure.label} within the interval of the "
        f"{dense.label} {'at' if single else 'down to'} {budget}"
        f"{' kept' if budget.endswith('%') else ''}" + (f" ({_of(reached[winners[0]], dense)})" if sizes else "")
    )
    knee = own[(own["name"] == winners[0]) & own["knee"]]
    if knee.empty:
        return text
    whose = "its knee is" if one else f"the knee of {first} is"
    return f"{text}; {whose} at {knee['budget'].iloc[0]}"


def _of(line: Any, dense: Reference) -> str:
    whole = f" of {wording.size(dense.nbytes)}" if math.isfinite(dense.nbytes) else ""
    return wording.size(line.nbytes) + whole


def _limit(dense: Reference, measure: Measure) -> float:
    return dense.high if measure.lower else dense.low


def _reach(part: pd.DataFrame, dense: Reference, measure: Measure) -> Any:
    """The smallest point of a line that, with all larger ones, is within the dense interval."""
    last, limit = None, _limit(dense, measure)
    for line in lines(part.sort_values("size", ascending=False)):
        if (line.value > limit) if measure.lower else (line.value < limit):
            break
        last = line
    return last


def note(sweep: Sweep, metrics: dict[str, Any]) -> str:
    """On what data, how many examples, which seeds, and what the intervals mean."""
    spec = sweep.spec
    if not metrics:
        return "Nothing was measured."
    data = wording.text_source(str(metrics.get("data", "")))
    if facts.is_language(metrics):
        pruned = metrics["pruned"]
        said = (
            f"Perplexity on {wording.plural(int(pruned['windows']), 'window')} of "
            f"{wording.exact(pruned['window'])} tokens of {data}, the same for every point."
        )
    else:
        said = f"Quality on {facts.sentences(metrics)} ({data}), the same for every point."
    seeds = ", ".join(map(str, spec.seeds))
    said += f" {'Seeds' if len(spec.seeds) > 1 else 'Seed'} {seeds}; points that do not depend on a seed were run once."
    said += (
        " Intervals are 95 %: of the measurement and, with several seeds, of their mean (Student's t). They "
        "cover other data of the same kind, not other tasks. The best of many points is partly luck: compare the "
        "two that matter on fresh data."
    )
    knee = (
        " The knee (Kneedle, Satopaa 2011), the point furthest above the line between a curve's ends, depends on "
        "where the curve begins."
    )
    return said + knee
