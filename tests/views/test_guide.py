"""Where a guided zoom goes: to what lost most, and to the middle where nothing stands out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kencore.views.guide import guide
from tests.support.runs import make_run


def table(*lines: dict[str, Any]) -> pd.DataFrame:
    usual = {"stack": "s", "status": "pruned", "rows": 8, "cols": 100, "params": 800, "kept": 400, "diff_rms": 0.1}
    made = [usual | {"name": f"m{i}"} | line for i, line in enumerate(lines)]
    return pd.DataFrame(made).astype({"block": "float64"})


def test_it_goes_to_the_block_and_the_matrix_that_lost_most() -> None:
    found = guide(
        table(
            {"block": 0, "diff_lost": 0.1},
            {"block": 0, "diff_lost": 0.7},
            {"block": 1, "diff_lost": 0.5},
            {"block": 1, "diff_lost": 0.6},
        )
    )
    assert (found.block, found.matrix) == (1, "m3")  # 0.55 against 0.4
    assert found.blocks["lost"].tolist() == pytest.approx([0.4, 0.55])
    assert found.lost == pytest.approx((0.1 + 0.7 + 0.5 + 0.6) / 4)
    assert found.by_lot == pytest.approx(0.5)


def test_where_all_lost_about_the_same_it_goes_to_the_middle_and_the_narrowest() -> None:
    lines = [{"block": block, "diff_lost": 0.5 + 0.01 * block, "cols": cols} for block in range(3) for cols in (64, 32)]
    found = guide(table(*lines))
    assert not found.blocks_differ
    assert not found.siblings_differ
    assert (found.block, found.matrix) == (1, "m3")


def test_a_large_change_counts_more_than_a_small_one() -> None:
    found = guide(table({"block": 0, "diff_lost": 0.9, "diff_rms": 0.01}, {"block": 0, "diff_lost": 0.1}))
    assert found.lost == pytest.approx((0.9 * 0.01**2 + 0.1 * 0.1**2) / (0.01**2 + 0.1**2))


def test_without_losses_it_is_weights_that_went() -> None:
    found = guide(table({"block": 0, "kept": 600, "diff_lost": np.nan}, {"block": 1, "kept": 200, "diff_lost": np.nan}))
    assert not found.known
    assert (found.block, found.lost) == (1, pytest.approx(0.5))


def test_a_matrix_can_be_asked_for_and_nothing_may_be_there() -> None:
    lines = table({"block": 0, "diff_lost": 0.1}, {"block": np.nan, "diff_lost": 0.9}, {"block": 0, "rows": 1})
    assert guide(lines, "m0").matrix == "m0"
    asked = guide(lines, "m1")
    assert (asked.block, asked.matrix, len(asked.siblings)) == (None, "m1", 0)
    assert guide(lines, "m2").matrix == "m0"  # of one row
    assert guide(lines.assign(status="untouched")).matrix is None


def test_what_a_run_lost_is_what_its_weights_say(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    gone = whole = 0.0
    for name in run.pruned:
        if run.shape(name)[0] > 1:
            tuned = run.values(name, "tuned").astype(np.float64)
            gone += float(((tuned - run.values(name, "pruned")) ** 2).sum())
            whole += float(((tuned - run.values(name, "base")) ** 2).sum())
    assert guide(run.matrices).lost == pytest.approx(gone / whole, rel=1e-4)
