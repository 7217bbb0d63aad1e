"""The language model's run that ships is the one that its command makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kencore import open_run, prune
from kencore.data.text import read_text
from kencore.runs.shelf import list_runs

SHIPPED = "demo-lm"


def test_pruning_the_language_model_again_gives_the_shipped_run(tmp_path: Path) -> None:
    shipped = open_run(SHIPPED)
    assert shipped.trace is not None
    if read_text("pydoc", part="calibration").sha256 != shipped.trace["calibration"]["sha256"]:
        pytest.skip("this Python's topics are not those that the run was calibrated on")
    again = prune(replace(shipped.spec, evaluation=None, baselines=False), out=tmp_path / "run")
    assert again.trace is not None
    for part in ("block_search", "row_search"):
        found, known = (run.trace[part]["costs"] for run in (again, shipped))
        assert found == pytest.approx(known, rel=1e-3)
    assert again.totals == shipped.totals
    # scores differ in the last bit from processor to processor
    same = [(again.keep(name) == shipped.keep(name)).mean() for name in shipped.pruned]
    assert np.mean(same) > 0.999


def test_it_stands_after_the_encoder_in_the_list() -> None:
    assert [(run.id, run.problem) for run in list_runs()[:2]] == [("demo", None), (SHIPPED, None)]


def test_it_meets_its_target_and_was_measured_against_baselines() -> None:
    run = open_run(SHIPPED)
    assert run.totals["reset"] == int(0.6 * run.totals["pruned"] + 0.5)
    assert set(run.metrics["baselines"]) == {"random", "magnitude", "uniform"}
    dense, pruned = run.metrics["dense"]["perplexity"], run.metrics["pruned"]["perplexity"]
    assert dense < pruned < run.metrics["baselines"]["uniform"]["perplexity"]
