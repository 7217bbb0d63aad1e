"""A small made-up sweep in the store, for tests of whatever reads sweeps. No torch."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scipy.stats import binomtest

from kencore.runs.run import Run
from kencore.settings.prune import PruneSpec
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.journal import note
from kencore.sweeps.shelf import Sweep, open_sweep
from kencore.system import people
from kencore.system.places import runs_folder, sweeps_folder
from tests.support.runs import make_run

EXAMPLES = 1000
STRENGTH = {"delta": 0.02, "ken": 0.16, "random": 0.17, "magnitude": 0.15}
REASON = "encoder.weight, rescaled: infinity in row 3; wanted finite differences. Keep more."


def make_sweep(folder: Path, *, missing: int = 1, failed: int = 1, **settings: Any) -> Sweep:
    """A sweep of ``delta``, ``ken`` and ``random`` over four shares and, of random, three seeds.

    Its points are runs of the made-up pair of `tests.support.runs`, with made-up accuracies on 1,000
    examples: delta loses little, the others much.

    Args:
        folder: where the pair of checkpoints goes; the sweep goes into the store.
        missing, failed: so many points at the end of the grid are missing, those before failed.
        settings: other fields of the `SweepSpec`.
    """
    make_run(folder, "magnitude", 0.5)  # writes the checkpoints
    usual: dict[str, Any] = {
        "model": str(folder / "pair/tuned"),
        "base": str(folder / "pair/base"),
        "methods": ("delta", "ken", "random"),
        "keeps": (0.9, 0.5, 0.25, 0.1),
        "seeds": (0, 1, 2),
        "evaluation": "demo",
    }
    spec = SweepSpec(**(usual | settings))
    path = sweeps_folder() / spec.id
    path.mkdir()
    asked = {
        "version": 1,
        "spec": asdict(spec),
        "created": "2026-11-25T08:00:00.000+00:00",
        "versions": {},
        "fingerprint": {},
    }
    if (owner := people.owner()) is not None:
        asked["owner"] = owner
    (path / "sweep.json").write_text(json.dumps(asked))
    points = spec.points()
    done = len(points) - missing - failed
    for i, point in enumerate(points[: done + failed]):
        name = spec.point_id(point)
        note(path, "began", name)
        if i >= done:
            error = {"type": "NonFiniteWeightError", "message": REASON}
            note(path, "failed", name, error)
            continue
        _point(folder, name, spec, point)
        note(path, "finished", name)
    return open_sweep(spec.id)


def _point(folder: Path, name: str, spec: SweepSpec, point: PruneSpec) -> None:
    assert point.keep is not None
    run = make_run(folder / name, point.method, point.keep)
    totals = Run(run.path).totals
    rules = [rule for rule in ("random", "magnitude", "delta") if rule != point.method]
    metrics = {
        "data": "demo",
        "data_sha256": "2" * 64,
        "examples": EXAMPLES,
        "device": "cpu",
        "dense": figures(0.95),
        "base": figures(0.5),
        "pruned": figures(_accuracy(point)),
        "baselines": {rule: figures(0.95 - STRENGTH[rule] * (1 / point.keep - 1) / 4) for rule in rules},
    }
    record = run.record | {"sweep": spec.id, "totals": totals, "seconds": 1.5}
    for file, data in (("metrics", metrics), ("record", record), ("spec", {"spec": asdict(point), "versions": {}})):
        (run.path / f"{file}.json").write_text(json.dumps(data))
    run.path.rename(runs_folder() / name)


def _accuracy(point: PruneSpec) -> float:
    assert point.keep is not None
    loss = STRENGTH[point.method] * (1 / point.keep - 1) / 4
    return max(0.5, 0.95 - loss - 0.004 * point.seed)


def figures(accuracy: float) -> dict[str, Any]:
    """What `quality_of` says, about, of a classifier of that accuracy."""
    accuracy = round(max(0.5, accuracy) * EXAMPLES) / EXAMPLES
    interval = binomtest(round(accuracy * EXAMPLES), EXAMPLES).proportion_ci(method="wilson")
    return {
        "accuracy": accuracy,
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "f1_macro": accuracy - 0.01,
        "loss": -math.log(accuracy),
        "examples": EXAMPLES,
        "seconds": 0.1,
    }
