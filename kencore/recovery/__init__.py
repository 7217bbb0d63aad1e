"""Recovery after pruning: the kept weights learn, every entry that was pruned stays where it is.

Light: torch is imported when something is tuned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kencore.settings.recover import RecoverSpec

if TYPE_CHECKING:
    from kencore.recovery.run import recover

__all__ = ["RecoverSpec", "recover"]


def __getattr__(name: str) -> Any:
    if name == "recover":
        from kencore.recovery.run import recover

        return recover
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
