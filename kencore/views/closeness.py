"""Size against closeness: every measured run of one model, whatever its method.

Pure but for reading: metrics of runs, and where they do not say it the size of a run's file from its plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pandas as pd

from kencore.errors import KencoreError
from kencore.exports.subnetwork.plan import known_bytes
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
    asked, data = (like.spec.model, like.spec.base), like.metrics.get("data_sha256")
    alike = [run for run in runs if run.problem is None and (run.spec.get("model"), run.spec.get("base")) == asked]
    found, seen = [], set()
    for run in sorted(alike, key=lambda run: run.created, reverse=True)[:MOST]:
        line = _line(run.path, run.id, stamp(run.path, FILE))
        if line is None or (data is not None and line["data"] != data):
            continue
        key = (line["bytes"], line["kl"], line["quality"])
        if key not in seen:  # a sweep and a run by itself may have come to the same
            seen.add(key)
            found.append(line | {"label": run.label, "method": str(run.spec.get("method", ""))})
    table = pd.DataFrame(found, columns=list(COLUMNS))
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
