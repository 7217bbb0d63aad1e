"""Two points of a sweep in pairs: both are measured on the same data, which tells apart what two intervals cannot."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from kencore.errors import KencoreError
from kencore.runs.reading import read_files
from kencore.sweeps.places import point_folder
from kencore.views.compare.quality import Difference, difference

_READ: Final = ("task", "data_sha256", "examples", "window", "windows", "pruned", "outcomes")


def could_be_chance(first: str, second: str) -> bool | None:
    """Whether the difference of two points, by their ids, may be chance: McNemar's test, or the 95 % interval.

    ``None`` where one of them did not keep the outcome of every example.
    """
    found = difference(_measured(first), _measured(second))
    return found.could_be_chance if isinstance(found, Difference) and found.paired else None


def _measured(point: str) -> dict[str, Any]:
    folder = point_folder(point)
    try:
        return _read(folder, (folder / "metrics.json").stat().st_mtime_ns)
    except (OSError, KencoreError):
        return {}


@lru_cache(maxsize=1024)
def _read(folder: Path, _changed: int) -> dict[str, Any]:
    found = read_files(folder, "metrics.json")["metrics.json"]
    return {name: found[name] for name in _READ if name in found}
