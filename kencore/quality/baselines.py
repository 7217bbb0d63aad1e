"""What is measured beside a run at its own budget, by name.

A baseline's name is that of its method, but for two: ``dare`` is random and rescaled by share
(2311.03099), ``uniform`` is the run's own method with the same share everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kencore.methods.table import METHODS

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

DARE, UNIFORM = "dare", "uniform"


def baseline_names(spec: PruneSpec) -> tuple[str, ...]:
    """Rules to measure beside a run, at its own budget: those that it has what they need for.

    A run that codes differences has none of these: as many entries are not as many bytes. What it is measured beside
    takes as many (`kencore.pruning.beside`). One that rescales
    has its own rule without rescaling beside it, and DARE.
    """
    if spec.coded:
        return ()
    plain, zero = spec.rescale == "none", spec.restore == "zero"
    rows = [row for row in METHODS.values() if row.baseline is not None]
    names = [
        row.name
        for row in sorted(rows, key=lambda row: row.baseline or 0)
        if not (zero and row.needs_base)
        and not (row.activations and not (zero and spec.streams))
        and not (plain and row.name == spec.method)
    ]
    if not plain and spec.method not in names:
        names.append(spec.method)
    if not plain and not METHODS[spec.method].draws:
        names.append(DARE)
    return tuple(names)


def baseline_rule(name: str) -> tuple[str, str]:
    """Method and rescaling of a baseline."""
    return ("random", "share") if name == DARE else (name, "none")
