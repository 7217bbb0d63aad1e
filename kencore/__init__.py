"""Prune transformers, and keep what is needed to show which weights stayed and what that cost.

Importing this package is light: a public name is imported when it is asked for, and torch, transformers and numba by
what needs them, when it runs.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kencore._version import __version__

if TYPE_CHECKING:
    from kencore.exports.masks import export_mask
    from kencore.exports.subnetwork.open import open_subnetwork, restore_subnetwork
    from kencore.exports.subnetwork.plan import subnetwork_bytes
    from kencore.exports.subnetwork.read import inspect_subnetwork
    from kencore.exports.subnetwork.serve import TunedModels, load
    from kencore.exports.subnetwork.write import write_subnetwork
    from kencore.methods.select import select
    from kencore.notebook.shown import open_run, prune, recover
    from kencore.quality.flips import flips
    from kencore.runs.run import Run
    from kencore.runs.shelf import list_runs
    from kencore.settings.prune import PruneSpec
    from kencore.settings.recover import RecoverSpec
    from kencore.settings.sweep import SweepSpec
    from kencore.sweeps.shelf import open_sweep

__all__ = [
    "PruneSpec",
    "RecoverSpec",
    "Run",
    "SweepSpec",
    "TunedModels",
    "__version__",
    "export_mask",
    "flips",
    "inspect_subnetwork",
    "list_runs",
    "load",
    "open_run",
    "open_subnetwork",
    "open_sweep",
    "prune",
    "recover",
    "restore_subnetwork",
    "select",
    "subnetwork_bytes",
    "write_subnetwork",
]
LAZY = {
    "PruneSpec": "settings.prune",
    "RecoverSpec": "settings.recover",
    "Run": "runs.run",
    "SweepSpec": "settings.sweep",
    "TunedModels": "exports.subnetwork.serve",
    "export_mask": "exports.masks",
    "flips": "quality.flips",
    "inspect_subnetwork": "exports.subnetwork.read",
    "list_runs": "runs.shelf",
    "load": "exports.subnetwork.serve",
    "open_run": "notebook.shown",
    "open_subnetwork": "exports.subnetwork.open",
    "open_sweep": "sweeps.shelf",
    "prune": "notebook.shown",
    "recover": "notebook.shown",
    "restore_subnetwork": "exports.subnetwork.open",
    "select": "methods.select",
    "subnetwork_bytes": "exports.subnetwork.plan",
    "write_subnetwork": "exports.subnetwork.write",
}
"""Names of the package, and the module of each."""
FORMER = {"TuneSpec": "RecoverSpec", "tune": "recover"}
"""Names of 0.1.0, and what each is called now."""


def __getattr__(name: str) -> Any:
    if name in FORMER:
        warnings.warn(f"kencore.{name} is now kencore.{FORMER[name]}", DeprecationWarning, stacklevel=2)
        name = FORMER[name]
    if name in LAZY:
        return getattr(import_module(f"kencore.{LAZY[name]}"), name)
    raise AttributeError(f"module 'kencore' has no attribute {name!r}")
