"""Where the parts of a sweep are in the store: the runs of its points, and the files that tell who works on it."""

from __future__ import annotations

import glob
from pathlib import Path

from kencore.errors import SweepBusyError
from kencore.runs import missing_files
from kencore.runs.shelf import shipped_folder
from kencore.system.places import runs_folder, sweeps_folder


def remains(point: str) -> list[Path]:
    """What writing left half done of a point."""
    return list(runs_folder(make=False).glob(f".{glob.escape(point)}-*"))


def lock_file(sweep: str) -> Path:
    """The file that whoever works on a sweep locks."""
    return sweeps_folder(make=False) / f".{sweep}.lock"


def shard_lock(sweep: str, shard: str) -> Path:
    """The file that whoever works on a shard of a sweep locks as well."""
    return sweeps_folder() / f".{sweep}.{shard}.lock"


def busy(sweep: str) -> SweepBusyError:
    """The error for a sweep that another process works on."""
    return SweepBusyError(
        f"sweep {sweep}",
        got="another process works on it",
        wanted="one process at a time",
        remedy="Wait until it ends, or cancel it: points that are finished stay.",
    )


def is_done(point: str) -> bool:
    """Whether the run of a point is in the store, whole, or ships with the project."""
    return not missing_files(point_folder(point))


def point_folder(point: str) -> Path:
    """Where the run of a point is, or would be: in the store, unless it is not there and ships with the project."""
    own = runs_folder(make=False) / point
    return own if own.is_dir() else shipped_folder(point) or own
