"""The list of runs as a table: of each the rule, the share, the quality and the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kencore.errors import KencoreError
from kencore.models.figures import measure_of
from kencore.runs.naming import rule, short_name
from kencore.runs.reading import read_files
from kencore.runs.summary import MOST_HELD, stamp
from kencore.words import numbers as wording
from kencore.words.run import perplexity
from kencore.words.verdict import Level, verdict

if TYPE_CHECKING:
    from kencore.runs.shelf import RunSummary

FILE: Final = "metrics.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was measured of a run: the measure's name, its value before and after, and the verdict."""

    measure: str | None = None
    dense: float | None = None
    pruned: float | None = None
    level: Level | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """One line of the table.

    Attributes:
        found: what the store says of the run.
        model, rule: "" where the settings cannot be read.
        kept: share 0 to 1; ``None`` where a number per row was asked for.
        judged: what was measured.
    """

    found: RunSummary
    model: str
    rule: str
    kept: float | None
    judged: Judged


def lines(runs: Iterable[RunSummary]) -> list[RunLine]:
    """A line for each run, in their order; what did not change since is not read again."""
    return [_line(run) for run in runs]


def _line(run: RunSummary) -> RunLine:
    spec = run.spec
    keep = spec.get("keep")
    return RunLine(
        found=run,
        model=short_name(str(spec["model"])) if "model" in spec else "",
        rule=rule(spec) if "method" in spec else "",
        kept=None if keep is None else float(keep),
        judged=_judged(run.path, str(spec["method"]), stamp(run.path, FILE)) if "method" in spec else Judged(),
    )


@lru_cache(maxsize=MOST_HELD)
def _judged(folder: Path, method: str, _stamp: tuple[Any, ...]) -> Judged:
    try:
        return judged(read_files(folder, FILE)[FILE], method)
    except (KencoreError, KeyError, TypeError, ValueError):
        return Judged()  # the list says what is broken where the run is opened


def brief(line: RunLine) -> str:
    """What is known of a run in one line, the verdict first; "" where nothing is."""
    one = line.judged
    value = ""
    if one.measure is not None and one.pruned is not None:
        shown = perplexity(one.pruned) if one.measure == "perplexity" else wording.percent(one.pruned)
        value = f"{one.measure} {shown}"
    share = "" if line.kept is None else f"{wording.short_percent(line.kept)} kept"
    return " · ".join(part for part in (one.level, value, share, line.rule) if part)


def judged(metrics: Mapping[str, Any], method: str) -> Judged:
    """The line's part of a run's metrics; nothing where the pruned model was not measured."""
    pruned = metrics.get("pruned") or {}
    name = measure_of(pruned) if pruned else None
    if name is None or pruned.get(name) is None:
        return Judged()
    found = verdict(metrics, method)
    return Judged(
        measure=name,
        dense=(metrics.get("dense") or {}).get(name),
        pruned=float(pruned[name]),
        level=None if found is None else found.level,
    )
