"""Tuning after pruning: the kept weights learn, every entry that was pruned stays where it is.

Light: torch is imported when something is tuned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kencore.settings.recover import TuneSpec

if TYPE_CHECKING:
    from kencore.recover.run import tune

__all__ = ["TuneSpec", "tune"]


def __getattr__(name: str) -> Any:
    if name == "tune":
        from kencore.recover.run import tune

        return tune
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
