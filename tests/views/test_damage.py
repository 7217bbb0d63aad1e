"""What pruning took away, and what a picture shows by default, against direct sums."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kencore.views import damage
from tests.support.lm_runs import make_lm_run
from tests.support.runs import make_run


def table(*lines: dict[str, Any]) -> pd.DataFrame:
    usual = {"status": "pruned", "rows": 8, "cols": 100, "params": 800, "diff_rms": 0.1}
    return pd.DataFrame([usual | line for line in lines])


@pytest.mark.parametrize(
    ("lines", "measure", "known"),
    [
        ([{"kept": 400, "diff_lost": 0.1}, {"kept": 400, "diff_lost": 0.3}], "diff_lost", True),
        ([{"kept": 400, "diff_lost": 0.1}, {"kept": 300, "diff_lost": 0.3}], "share", True),
        ([{"kept": 400, "diff_lost": 0.1}, {"kept": 400, "diff_lost": np.nan}], "share", False),
        # one entry a row is rounding; a bias cannot be rounded more finely
        ([{"kept": 400, "diff_lost": 0.1}, {"kept": 408, "diff_lost": 0.3}], "diff_lost", True),
        (
            [{"kept": 400, "diff_lost": 0.1}, {"kept": 2, "rows": 1, "cols": 3, "params": 3, "diff_lost": 0.3}],
            "diff_lost",
            True,
        ),
        # what did not move had nothing to lose, and what was not pruned lost nothing
        (
            [
                {"kept": 400, "diff_lost": 0.1},
                {"kept": 400, "diff_rms": 0.0, "diff_lost": np.nan},
                {"kept": 800, "status": "untouched", "diff_rms": np.nan, "diff_lost": np.nan},
            ],
            "diff_lost",
            True,
        ),
        ([{"kept": 800, "status": "untouched", "diff_rms": np.nan, "diff_lost": np.nan}], "share", False),
    ],
)
def test_the_usual_measure_is_what_differs(lines: list[dict[str, Any]], measure: str, *, known: bool) -> None:
    assert damage.usual(table(*lines)) == damage.Usual(measure=measure, known=known)  # type: ignore[arg-type]


def test_inputs_moved_by_a_share_of_their_norms(tmp_path: Path) -> None:
    assert damage.input_error(np.array([3.0, 4.0]), np.array([3.0, 1.0])) == pytest.approx(3 / 5)
    assert math.isnan(damage.input_error(np.zeros(3), np.ones(3)))
    run = make_lm_run(tmp_path)
    found = damage.input_errors(run)
    assert set(found) == set(run.pruned)
    for name, error in found.items():
        norms = run.activation_norms(name)
        assert norms is not None
        squares = sum((float(b) - float(a)) ** 2 for a, b in zip(*norms, strict=True))
        assert error == pytest.approx(math.sqrt(squares / sum(float(a) ** 2 for a in norms[0])))
    cells = damage.with_input_errors(run.matrices, found)
    assert cells["input_error"].notna().sum() == len(run.pruned)
    assert damage.input_errors(make_run(tmp_path / "ken")) == {}


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ([0.2, np.nan, 0.6], (0.2, 0.6)),
        ([0.5, 0.5], (0.0, 0.5)),
        ([np.nan], (0.0, 1.0)),
        ([], (0.0, 1.0)),
        ([0.0], (0.0, 1.0)),
    ],
)
def test_colours_span_what_there_is(values: list[float], ends: tuple[float, float]) -> None:
    assert damage.span(values) == ends
    assert damage.span(values, full=(0.0, 1.0)) == (0.0, 1.0)


@pytest.mark.parametrize("at_once", [100, 1 << 22])
def test_cells_of_what_was_lost_are_sums_over_their_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(damage.views, "ROWS_AT_ONCE", at_once)
    run = make_run(tmp_path)
    name = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48
    found = damage.lost_window(run, name, 90, 45, (8, 4))
    tuned, base, pruned = (run.values(name, which).astype(float)[:90, :45] for which in ("tuned", "base", "pruned"))
    assert found.data.shape == (12, 12)
    for (i, j), share in np.ndenumerate(found.data):
        part = slice(8 * i, 8 * i + 8), slice(4 * j, 4 * j + 4)
        wanted = ((tuned[part] - pruned[part]) ** 2).sum() / ((tuned[part] - base[part]) ** 2).sum()
        assert share == pytest.approx(wanted, rel=1e-5)
