"""Sweeps against separate prunings: the same bits and figures, and each thing done once."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from kencore.costs import cost_of
from kencore.errors import (
    CheckpointChangedError,
    DataFileError,
    RunNotFoundError,
    SweepBusyError,
    SweepNotFoundError,
)
from kencore.evaluate.accuracy import Classifier
from kencore.evaluate.language import LanguageModel
from kencore.home import runs_folder, sweeps_folder
from kencore.locks import FileLock
from kencore.prune import prune
from kencore.store.run import Run, open_run
from kencore.store.runs import SHIPPED, find_stored_run, list_runs
from kencore.store.sweep_journal import NAME, note, read
from kencore.store.sweeps import Sweep, delete_sweep, list_sweeps, lock_file, open_sweep
from kencore.sweep import sweep
from kencore.sweep_spec import SweepSpec
from tests.tiny_models import save_pair
from tests.tiny_text import add_tokenizer, write_text

SAME = ("masks", "overview", "values", "activations")
TIMES = {"seconds", "latency", "memory", "forward_share"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny classifier and a tiny language model, each with its base, and what to judge them on."""
    where = tmp_path_factory.mktemp("sweep")
    for family in ("bert", "llama"):
        base, tuned = save_pair(family, where / family, change=0.05)
        add_tokenizer(base)
        add_tokenizer(tuned)
    rng = np.random.default_rng(1)
    lines = [f"{' '.join(f'w{i}' for i in rng.integers(3, 99, 8))}\t{i % 2}" for i in range(24)]
    (where / "examples.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    write_text(where / "text.txt", 800)
    return where


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes once: what they take is not what is tested."""
    monkeypatch.setattr("kencore.judging.cost_of", partial(cost_of, repeats=1))


def encoder(folder: Path, **settings: Any) -> SweepSpec:
    usual: dict[str, Any] = {
        "model": str(folder / "bert/tuned"), "base": str(folder / "bert/base"),
        "methods": ("delta", "ken"), "keeps": (0.6, 0.3),
        "evaluation": str(folder / "examples.tsv"), "device": "cpu",
    }  # fmt: skip
    return SweepSpec(**(usual | settings))


def language(folder: Path, **settings: Any) -> SweepSpec:
    usual: dict[str, Any] = {
        "model": str(folder / "llama/tuned"), "methods": ("wanda", "sparsegpt"),
        "keeps": (0.6, 0.3), "calibration": str(folder / "text.txt"), "sequences": 3,
        "search_sequences": 2, "window": 12, "windows": 4,
        "evaluation": str(folder / "text.txt"), "device": "cpu",
    }  # fmt: skip
    return SweepSpec(**(usual | settings))


def untimed(data: Any) -> Any:
    """The same tree without what a clock said."""
    if isinstance(data, dict):
        return {key: untimed(value) for key, value in data.items() if key not in TIMES}
    return [untimed(value) for value in data] if isinstance(data, list) else data


def check_equal(own: Run, other: Run) -> None:
    """Two runs are the same but for their names and the time they took."""
    for name in SAME:
        files = [run.path / f"{name}.safetensors" for run in (own, other)]
        assert files[0].exists() == files[1].exists(), name
        assert not files[0].exists() or files[0].read_bytes() == files[1].read_bytes(), name
    for name in ("matrices.parquet", "rows.parquet", "spec.json"):
        assert (own.path / name).read_bytes() == (other.path / name).read_bytes(), name
    assert untimed(own.metrics) == untimed(other.metrics)
    assert untimed(own.trace or {}) == untimed(other.trace or {})
    one, two = (
        {k: v for k, v in untimed(run.record).items()
         if k not in ("created", "seconds_by_matrix", "sweep", "totals")}
        for run in (own, other)
    )  # fmt: skip
    assert one == two


def check_separately(found: Sweep, out: Path) -> None:
    """Every point is what `prune` makes of its spec."""
    assert found.progress["done"] == len(found.plan)
    for name, point in found.plan.items():
        check_equal(open_run(name), prune(point, out=out / name, threads=1))


# --- the same as one by one -------------------------------------------------------------------


def test_points_of_an_encoder_are_what_prune_makes_of_them(folder: Path, tmp_path: Path) -> None:
    asked = encoder(
        folder, methods=("delta", "ken", "random"), rescales=("none", "share"), seeds=(0, 5)
    )
    found = sweep(asked, threads=1)
    assert len(found.plan) == 2 * 2 * 2 + 2 * 2 * 2
    check_separately(found, tmp_path)
    assert found.points["state"].eq("done").all()
    for line in found.points.to_dict("records"):
        run = open_run(line["run"])
        assert line["kept"] == run.totals["kept"]
        assert line["kept_share"] == run.totals["kept"] / run.totals["pruned"]
        assert line["quality"] == run.metrics["pruned"]["accuracy"]
        assert (run.record["sweep"], run.record["totals"]) == (found.id, run.totals)


def test_points_that_set_to_zero_are_what_prune_makes_of_them(folder: Path, tmp_path: Path) -> None:
    asked = encoder(folder, base=None, methods=("magnitude", "random"), keeps=(0.7, 0.2))
    check_separately(sweep(asked, threads=1), tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"methods": ("wanda", "sparsegpt", "magnitude"), "allocations": ("uniform", "owl")},
        {"methods": ("wanda",), "seeds": (0, 3), "keeps": (0.5,)},
        {"methods": ("delta", "wanda"), "base": True, "allocations": ("uniform", "neuroal"),
         "fast": True, "keeps": (0.5,), "rescales": ("none", "share")},
    ],
)  # fmt: skip
def test_points_of_a_language_model_are_what_prune_makes_of_them(
    folder: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    if "base" in settings:
        settings = settings | {"base": str(folder / "llama/base")}
    check_separately(sweep(language(folder, **settings), threads=1), tmp_path)
