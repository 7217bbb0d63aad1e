"""A run in a few lines of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kencore.system.plain import terminal
from kencore.views.tables import totals
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.verdict import verdict

if TYPE_CHECKING:
    from kencore.runs.run import Run


def summary(run: Run) -> str:
    """What was done, the verdict, and how large the rest is."""
    total = totals(run.matrices)
    found = verdict(run.metrics, run.spec.method)
    lines = [
        f"{run.id}: {facts.subject(run.spec)}",
        facts.headline(run.spec, total, run.metrics) + ".",
        *([found.text] if found else []),
        f"{wording.size(total.bytes_stored)} to store of {wording.size(total.bytes_dense)}; "
        f"{total.matrices_pruned} of {total.matrices} matrices were pruned.",
    ]
    return terminal("\n".join(lines))
