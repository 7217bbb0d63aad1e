"""The run that ships with the demo is the one that its command makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kencore import open_run, prune
from kencore.runs.shelf import list_runs


def test_pruning_the_demo_again_gives_the_shipped_run(tmp_path: Path) -> None:
    shipped = open_run("demo")
    again = prune(shipped.spec, out=tmp_path / "run")
    sums = ["tuned_std", "diff_rms", "diff_share_kept", "diff_lost"]  # of an earlier version, in another order
    assert again.matrices.drop(columns=sums).equals(shipped.matrices.drop(columns=sums))
    np.testing.assert_allclose(again.matrices[sums], shipped.matrices[sums], rtol=1e-12)
    for name in shipped.pruned:
        assert (again.mask_bits(name) == shipped.mask_bits(name)).all(), name
    for which in ("dense", "base", "pruned"):
        for figure in ("accuracy", "f1_macro"):
            found = again.metrics[which][figure]
            assert found == pytest.approx(shipped.metrics[which][figure], abs=0.003)
    answers = [run.flips().set_index("place").sort_index()["pruned"] for run in (again, shipped)]
    assert (answers[0] == answers[1]).mean() > 0.99


def test_the_demo_is_the_first_run_of_the_list() -> None:
    first = list_runs()[0]
    assert (first.id, first.problem) == ("demo", None)
    assert set(open_run("demo").metrics["baselines"]) == {"random", "magnitude", "delta"}
