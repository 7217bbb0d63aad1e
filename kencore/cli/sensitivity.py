"""The command ``sensitivity``: what each pruned matrix costs by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kencore.cli.frame import Json, Threads, command
from kencore.cli.options import Asked, asked_of, options_of
from kencore.settings.jobs import SensitivityAsked

SHOWN = 20  # lines in words
CHANGES = {"nll_change": 1, "accuracy_change": -1, "similarity_change": -1}  # and the sign of what is worse


@options_of(SensitivityAsked)
def sensitivity(asked: Asked, threads: Threads = None, as_json: Json = False) -> None:
    """Measure quality with each pruned matrix pruned alone, all others dense."""
    from kencore.quality.sensitivity import sensitivity as measure

    with command(as_json) as (report, show):
        given = SensitivityAsked(**asked_of(SensitivityAsked, asked))
        how: dict[str, Any] = {"window": given.window, "windows": given.windows, "device": given.device}
        show(measure(given.run, given.data, **how, threads=threads, progress=report), text)


def text(facts: Mapping[str, Any]) -> str:
    """The same for people: what costs most first."""
    lines = facts["matrices"]
    if not lines:
        return f"{facts['run']} pruned no matrix, so there is nothing to measure."
    change = next(name for name in CHANGES if name in lines[0])
    worst = sorted(lines, key=lambda line: (-CHANGES[change] * line[change], -(line.get("kl") or 0.0)))[:SHOWN]
    what = change.replace("_", " ")
    rows = [["matrix", "kept", what, "95 % interval", "KL"], *(_cells(line, change) for line in worst)]
    wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    said = [f"Each of {len(lines):,} matrices of {facts['run']} pruned alone, on {facts['data']}:"]
    said += ["  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip() for row in rows]
    return "\n".join([*said, *([f"{len(lines) - SHOWN:,} more with --json."] if len(lines) > SHOWN else [])])


def _cells(line: Mapping[str, Any], change: str) -> list[str]:
    low, high, kl = line.get(f"{change}_low"), line.get(f"{change}_high"), line.get("kl")
    interval = "" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"
    kept = f"{line['kept'] / max(1, line['params']):.0%}"
    return [line["name"], kept, f"{line[change]:+.4f}", interval, "" if kl is None else f"{kl:.4f}"]
