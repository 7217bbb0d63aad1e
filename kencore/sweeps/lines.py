"""Lines of the tables of a sweep, out of what was asked and what its runs say. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kencore.methods.table import METHODS
from kencore.models.figures import measure_of
from kencore.quality.baselines import UNIFORM, baseline_rule
from kencore.runs.reading import notes_of
from kencore.settings.prune import PruneSpec
from kencore.settings.sweep import takes_seed

QUALITY_COLUMNS = {
    "metric": "object",
    "quality": "float64",
    "low": "float64",
    "high": "float64",
    "f1_macro": "float64",
    "f1_low": "float64",
    "f1_high": "float64",
    "loss": "float64",
}
POINT_COLUMNS = {
    "run": "object",
    "method": "object",
    "allocation": "object",
    "rescale": "object",
    "keep": "float64",
    "k": "Int64",
    "bits": "float64",
    "bytes": "Int64",
    "seed": "int64",
    "restore": "object",
    "state": "object",
    "reason": "object",
    "kept": "Int64",
    "kept_share": "float64",
    "bytes_dense": "Int64",
    "bytes_stored": "Int64",
    **QUALITY_COLUMNS,
    "seconds": "float64",
}
BASELINE_COLUMNS = {
    "baseline": "object",
    "method": "object",
    "rescale": "object",
    "keep": "float64",
    "k": "Int64",
    "bits": "float64",
    "bytes": "Int64",
    "seed": "int64",
    "restore": "object",
    "kept_share": "float64",
    "bytes_stored": "Int64",
    **QUALITY_COLUMNS,
}
Line = dict[str, Any]


def point_line(
    name: str, point: PruneSpec, found: tuple[Mapping[str, Any], Mapping[str, Any]] | None, failure: str | None
) -> Line:
    """The line of a planned point.

    Args:
        name: the id of its run.
        found: its record and its metrics, if it is done.
        failure: why it failed, if it did.
    """
    line: Line = {
        "run": name,
        "method": point.method,
        "allocation": point.allocation,
        "rescale": point.rescale,
        "keep": point.keep,
        "k": point.k,
        "bits": point.bits,
        "bytes": point.bytes,
        "seed": point.seed,
        "restore": point.restore,
        "state": "done" if found else "failed" if failure else "missing",
        "reason": "" if found else failure or "",
    }
    if found is None:
        return line
    record, metrics = found
    totals = record["totals"]
    return (
        line
        | _quality(metrics.get("pruned"))
        | {
            "kept": totals["kept"],
            "kept_share": totals["kept"] / totals["pruned"],
            "bytes_dense": totals["bytes_dense"],
            "bytes_stored": totals["bytes_stored"],
            "seconds": record.get("seconds"),
        }
    )


def said_once(points: Collection[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> tuple[str, ...]:
    """What the finished points note of themselves, each note once; beside it of how many, where it is not all.

    Args:
        points: record and metrics of each.
    """
    counts = Counter(note for record, metrics in points for note in notes_of(record, metrics))
    every = len(points)
    return tuple(note if count == every else f"{note} ({count} of {every} points)" for note, count in counts.items())


def baseline_lines(
    point: PruneSpec, record: Mapping[str, Any], metrics: Mapping[str, Any]
) -> Iterator[tuple[tuple[Any, ...], Line]]:
    """A key and the line of each baseline of a point; one key, one measurement."""
    totals = record["totals"]
    for name, quality in (metrics.get("baselines") or {}).items():
        spread = name == UNIFORM
        rule, rescale = (point.method, point.rescale) if spread else baseline_rule(name)
        row = METHODS.get(rule)  # none of a rule that is only measured beside
        drawn = takes_seed(point) if spread else row is not None and (row.draws or row.activations)
        line = {
            "baseline": name,
            "method": rule,
            "rescale": rescale,
            "keep": point.keep,
            "k": point.k,
            "bits": point.bits,
            "bytes": point.bytes,
            "seed": point.seed,
            "restore": point.restore,
        }
        key = (*line.values(), point.streams)
        if not drawn:
            key = (*(value for which, value in line.items() if which != "seed"), point.streams)
        yield (
            key,
            line
            | _quality(quality)
            | {"kept_share": totals["kept"] / totals["pruned"], "bytes_stored": totals["bytes_stored"]},
        )


def _quality(quality: Mapping[str, Any] | None) -> Line:
    """The columns of `QUALITY_COLUMNS`; empty where nothing was measured."""
    if not quality:
        return {}
    metric = measure_of(quality)
    return {
        "metric": metric,
        "quality": quality[metric],
        "low": quality.get(f"{metric}_low"),
        "high": quality.get(f"{metric}_high"),
        "f1_macro": quality.get("f1_macro"),
        "f1_low": quality.get("f1_macro_low"),
        "f1_high": quality.get("f1_macro_high"),
        "loss": quality.get("nll" if metric == "perplexity" else "loss"),
    }
