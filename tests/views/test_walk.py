"""The animation of a row: its last frame is the stored mask, and every visit takes one entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kencore.errors import ShapeError
from kencore.views.walk import walk_row
from tests.support.runs import make_run

UP = "bert.encoder.layer.1.intermediate.dense.weight"


@pytest.mark.parametrize(
    ("method", "kind"), [("ken", "grid"), ("ken-density", "density"), ("magnitude", "ranked"), ("random", "listed")]
)
def test_the_last_frame_is_the_stored_mask(tmp_path: Path, method: str, kind: str) -> None:
    run = make_run(tmp_path, method, 0.3)
    for number in range(0, 96, 5):
        line = slice(number, number + 1)
        values, keep = run.values(UP, "tuned", line)[0], run.keep(UP, line)[0]
        score = np.abs(values) if method == "magnitude" else None
        walk = walk_row(values, keep, method, score=score)
        assert walk.kind == kind
        assert len(walk.order) == keep.sum()
        np.testing.assert_array_equal(walk.taken(len(walk.order)), keep)
        for visits in (0, 1, len(walk.order) // 2):
            assert walk.taken(visits).sum() == visits


def test_each_grid_point_takes_the_nearest_free_value(tmp_path: Path) -> None:
    run = make_run(tmp_path, "ken", 0.4)
    values, keep = run.values(UP, "tuned", slice(3, 4))[0], run.keep(UP, slice(3, 4))[0]
    walk = walk_row(values, keep, "ken")
    free = set(range(len(values)))
    for point, entry in zip(walk.grid, walk.order, strict=True):
        nearest = min(abs(float(values[i]) - point) for i in free)
        assert abs(float(values[entry]) - point) == pytest.approx(nearest, abs=1e-7)
        free.remove(int(entry))


def test_ranked_walks_fall(tmp_path: Path) -> None:
    run = make_run(tmp_path, "delta", 0.5)
    line = slice(7, 8)
    tuned, base = run.values(UP, "tuned", line)[0], run.values(UP, "base", line)[0]
    walk = walk_row(tuned, run.keep(UP, line)[0], "delta", score=np.abs(tuned - base))
    taken = walk.height[walk.order]
    assert (np.diff(taken) <= 0).all()
    assert taken.min() >= np.delete(walk.height, walk.order).max()


@given(
    arrays(np.float32, 9, elements=st.floats(-2, 2, width=32)),
    arrays(np.bool_, 9),
    st.sampled_from(["ken", "ken-density", "wanda", "random"]),
)
def test_any_mask_is_reached_and_nothing_is_claimed_of_it(values: Any, keep: Any, rule: str) -> None:
    walk = walk_row(values, keep, rule)
    np.testing.assert_array_equal(walk.taken(len(walk.order)), keep)
    assert walk.kind in ("grid", "density", "listed")


def test_shapes_that_do_not_fit_are_said() -> None:
    with pytest.raises(ShapeError, match="one length"):
        walk_row(np.zeros(3, np.float32), np.zeros(4, np.bool_), "ken")
