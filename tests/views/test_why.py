"""Why a weight was kept or passed over: against the rule followed visit by visit, and by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kencore.errors import ShapeError
from kencore.settings.prune import PruneSpec
from kencore.views.walk import Walk, walk_row
from kencore.views.why import why
from kencore.words.why import headline, number, reason, told_apart
from tests.support.runs import make_run

UP = "bert.encoder.layer.1.intermediate.dense.weight"
KEN = PruneSpec(model="demo", base="demo-base", method="ken", keep=0.5)


def test_every_weight_of_a_row_is_told_as_the_rule_went(tmp_path: Path) -> None:
    run = make_run(tmp_path, "ken", 0.4)
    values, keep = run.values(UP, "tuned", slice(3, 4))[0], run.keep(UP, slice(3, 4))[0]
    walk = walk_row(values, keep, "ken")
    assert walk.kind == "grid"
    free = values.astype(np.float64).copy()
    took = {}
    for visit, point in enumerate(walk.grid):  # the rule by itself
        column = int(np.abs(free - point).argmin())
        took[column] = visit
        free[column] = np.inf
    for column in range(len(values)):
        found = why(walk, column)
        assert found.kept == (column in took)
        if found.kept:
            assert (found.visit, found.took) == (took[column], None)
            assert "no free value was nearer" in reason(found, KEN)
            continue
        assert found.point == walk.grid[np.abs(walk.grid - values[column]).argmin()]
        (other,) = [one for one, visit in took.items() if visit == found.visit]
        assert found.took == values[other]
        # the weight was free all the time, so what the point took cannot be further away
        assert abs(values[other] - found.point) <= abs(values[column] - found.point)
        assert found.crowd is not None
        assert found.crowd >= 1
        assert "took another" in headline(found, "base")


def ranked(*height: float, keep: tuple[int, ...]) -> Walk:
    mask = np.isin(np.arange(len(height)), keep)
    values = np.array(height, np.float32)
    return walk_row(values, mask, "magnitude", score=values)


def test_a_score_stands_beside_the_threshold_of_its_row() -> None:
    spec = PruneSpec(model="demo", method="magnitude", keep=0.5)
    walk = ranked(0.5, 0.1, 0.4, 0.2, keep=(0, 2))
    kept, gone = why(walk, 2), why(walk, 3)
    assert (kept.rank, kept.threshold, kept.kept) == (2, pytest.approx(0.4), True)
    assert (gone.rank, gone.threshold, gone.kept) == (3, pytest.approx(0.4), False)
    assert "right at the row's threshold" in headline(kept, "zero")
    assert "became zero: its score is below" in headline(gone, "zero")
    assert reason(gone, spec) == (
        "Its score is 0.200, how far it is from zero: number 3 of 4 in the row, which keeps the 2 highest, down to "
        "0.400."
    )


def test_a_rank_that_did_not_decide_is_not_said_to_have_decided() -> None:
    walk = ranked(0.5, 0.1, 0.4, 0.2, keep=(0, 3))
    for column in (2, 3):
        found = why(walk, column)
        assert not found.agrees
        assert "threshold" not in headline(found, "zero")
        told = reason(found, PruneSpec(model="demo", method="magnitude", keep=0.5))
        assert "rank alone did not decide" in told
    assert why(walk, 0).agrees  # the highest stayed, whatever happened below


def test_of_a_tie_at_the_threshold_the_first_came_first() -> None:
    walk = ranked(0.4, 0.4, 0.4, keep=(0, 1))
    assert "others with the same came first" in reason(why(walk, 2), PruneSpec(model="m", method="magnitude", keep=0.5))


def test_lots_are_told_as_lots() -> None:
    walk = walk_row(np.array([1, 2, 3], np.float32), np.array([True, False, True]), "random")
    told = reason(why(walk, 1), PruneSpec(model="m", method="random", keep=0.5))
    assert "drew lots" in told
    with pytest.raises(ShapeError, match="0 to 2"):
        why(walk, 3)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ((0.09, 0.0556), ["0.0900", "0.0556"]),
        ((0.12341, 0.12342), ["0.12341", "0.12342"]),
        ((-1.5, 0.0), ["−1.50", "0"]),
        ((250.0, 250.0), ["250", "250"]),
    ],
)
def test_numbers_have_as_many_digits_as_tell_them_apart(values: tuple[float, ...], wanted: list[str]) -> None:
    assert told_apart(values) == wanted
    assert [number(value, 9).startswith(said) or not value for value, said in zip(values, wanted, strict=True)]
