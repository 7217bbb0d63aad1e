"""Size against closeness: every measured run of one model, whatever its method.

Pure but for reading: metrics of runs, and where they do not say it the size of a run's file from its plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from kencore.errors import KencoreError
from kencore.exports.subnetwork.plan import known_bytes
from kencore.methods.table import METHODS
from kencore.models.figures import measure_of
from kencore.runs.reading import read_files
from kencore.runs.run import Run
from kencore.runs.summary import RunSummary, stamp

COLUMNS: Final = ("run", "label", "method", "bytes", "bits", "kl", "same_answer", "measure", "quality")
MOST: Final = 200  # runs, the newest first
FILE: Final = "metrics.json"


def by_bytes(runs: Iterable[RunSummary], like: Run) -> pd.DataFrame:
    """Size and closeness of every measured run of one model, the smallest first: `COLUMNS`.

    Args:
        runs: of the store.
        like: a run of the model; those against another base or measured on other data are left out.

    Returns:
        ``kl`` (nats, mean over answers, from the dense model's) and ``same_answer`` (share) are NaN where they were
        not measured, ``bits`` are per weight of the model.
    """
    data = like.metrics.get("data_sha256")
    alike = (run for run in runs if (run.spec.get("model"), run.spec.get("base")) == (like.spec.model, like.spec.base))
    return _sorted([line for line in _lines(alike) if data is None or line["data"] == data])


def of_files(runs: Iterable[RunSummary], model: str, base: str | None) -> pd.DataFrame:
    """The same of the runs of a model that code all of its differences, each matrix as is best for it, and that have a
    divergence: on that data on which most of them were measured.
    """
    wanted = {"model": model, "base": base, "code": None, "scope": ["all"]}
    alike = (run for run in runs if _codes(run) and all(run.spec.get(name) == wanted[name] for name in wanted))
    found = [line for line in _lines(alike) if line["kl"] > 0]
    counts = Counter(line["data"] for line in found)
    return _sorted([line for line in found if line["data"] == counts.most_common(1)[0][0]]).drop_duplicates("bytes")


def _codes(run: RunSummary) -> bool:
    method = run.spec.get("method")
    return method in METHODS and METHODS[method].coded


class Expected(NamedTuple):
    """How near the answers of a file come that was not made: between two that were measured.

    Attributes:
        kl: nats, on the line between both, of logarithms.
        same: shares of same answers of both, the smaller file first.
        sizes: bytes of both.
    """

    kl: float
    same: tuple[float, float]
    sizes: tuple[int, int]


def expected(table: pd.DataFrame, size: float) -> Expected | None:
    """What a file of so many bytes comes to; ``None`` outside the sizes of those that were measured.

    Args:
        table: `of_files`.
    """
    sizes = table["bytes"].to_numpy(np.float64)
    if len(sizes) < 2 or not sizes[0] <= size <= sizes[-1]:
        return None
    kl = float(np.exp(np.interp(np.log(size), np.log(sizes), np.log(table["kl"].to_numpy(np.float64)))))
    at = int(np.clip(np.searchsorted(sizes, size), 1, len(sizes) - 1))
    low, high = table.iloc[at - 1], table.iloc[at]
    return Expected(
        kl=kl,
        same=(float(low["same_answer"]), float(high["same_answer"])),
        sizes=(int(low["bytes"]), int(high["bytes"])),
    )


def _lines(runs: Iterable[RunSummary]) -> list[dict[str, Any]]:
    """What was measured of runs, the newest first."""
    found = []
    whole = [run for run in runs if run.problem is None]
    for run in sorted(whole, key=lambda run: run.created, reverse=True)[:MOST]:
        line = _line(run.path, run.id, stamp(run.path, FILE))
        if line is not None:
            found.append(line | {"label": run.label, "method": str(run.spec.get("method", ""))})
    return found


def _sorted(lines: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The lines by size, the first of a size first; what came to the same, such as a run by itself and one of a sweep,
    stands once.
    """
    alone: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        alone.setdefault((line["bytes"], line["kl"], line["quality"]), line)
    table = pd.DataFrame(list(alone.values()), columns=list(COLUMNS))
    return table.sort_values("bytes", kind="stable").reset_index(drop=True)


@lru_cache(maxsize=2_000)
def _line(folder: Path, run_id: str, _stamp: tuple[Any, ...]) -> dict[str, Any] | None:
    """What was measured of a run; ``None`` where nothing was, or its size cannot be told."""
    try:
        metrics = read_files(folder, FILE)[FILE]
        pruned = metrics.get("pruned") or {}
        name = measure_of(pruned) if pruned else None
        if name is None:
            return None
        run = Run(folder, name=run_id)
        size = known_bytes(run)
    except (KencoreError, OSError, KeyError, TypeError, ValueError):
        return None  # the list of runs says what is broken
    if size is None:
        return None
    versus = pruned.get("versus_dense") or {}
    return {
        "run": run_id,
        "bytes": size,
        "bits": 8 * size / max(1, run.totals["params"]),
        "kl": _number(versus.get("kl")),
        "same_answer": _number(versus.get("same_answer")),
        "measure": name,
        "quality": _number(pruned.get(name)),
        "data": metrics.get("data_sha256"),
    }


def smallest(table: pd.DataFrame, same: float) -> Any | None:
    """The line of the smallest file with at least so large a share of same answers; ``None``: there is none."""
    near = table[table["same_answer"] >= same]
    return None if near.empty else near.iloc[int(near["bytes"].to_numpy().argmin())]


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
