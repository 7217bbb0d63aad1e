"""How sparsity is shared among blocks, matrices and rows: one file per method.

Plain numbers in, plain numbers out: an allocation knows neither models nor files. Each returns
`Sparsities` before rounding; `kencore.allocate.budget` turns them into whole entries.
"""

from __future__ import annotations

from kencore.allocate.slot import Slot, Sparsities

__all__ = ["Slot", "Sparsities"]
