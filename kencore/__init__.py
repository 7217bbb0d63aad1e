"""Prune transformers, and keep what is needed to show which weights stayed and what that cost.

Importing this package is light: torch, transformers and numba are imported by what needs them,
when it runs. ``select`` and ``prune`` are bound here, before anybody imports the submodules of
the same names, so that the functions keep the names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kencore.prune import prune
from kencore.select import select
from kencore.spec import PruneSpec

if TYPE_CHECKING:
    from kencore.store.run import Run, open_run

__version__ = "0.1.0"
__all__ = ["PruneSpec", "Run", "__version__", "open_run", "prune", "select"]


def __getattr__(name: str) -> Any:
    if name in ("Run", "open_run"):  # reading runs needs pandas and pyarrow
        from kencore.store import run

        return getattr(run, name)
    raise AttributeError(f"module 'kencore' has no attribute {name!r}")
