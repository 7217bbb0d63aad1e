"""What is measured beside a run at its own budget, by name.

A baseline's name is that of its method, but for two: ``dare`` is random and rescaled by share
(2311.03099), ``uniform`` is the run's own method with the same share everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

BASELINES = {"base": ("random", "magnitude", "delta"), "zero": ("random", "magnitude")}
DARE, UNIFORM = "dare", "uniform"


def baseline_names(spec: PruneSpec) -> tuple[str, ...]:
    """Rules to measure beside a run, at its own budget.

    A run that rescales has its own rule without rescaling beside it, and DARE.
    """
    plain = spec.rescale == "none"
    names = [name for name in BASELINES[spec.restore] if not (plain and name == spec.method)]
    if not plain and spec.method not in names:
        names.append(spec.method)
    if not plain and spec.method != "random":
        names.append(DARE)
    return tuple(names)


def baseline_rule(name: str) -> tuple[str, str]:
    """Method and rescaling of a baseline."""
    return ("random", "share") if name == DARE else (name, "none")
