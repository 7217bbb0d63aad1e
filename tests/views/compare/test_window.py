"""Windows of two masks at every zoom against cells cut out of the unpacked masks."""

from __future__ import annotations

import numpy as np
import pytest

from kencore.errors import IncomparableRunsError, MatrixNotFoundError
from kencore.runs.run import Run
from kencore.views.compare.window import kept_by_other, window
from tests.support import runs as made_runs
from tests.support.runs import make_run

UP = "bert.encoder.layer.2.intermediate.dense.weight"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_runs, "HIDDEN", 45)
        return make_run(folder, "ken"), make_run(folder, "delta", keep=0.3)


@pytest.mark.parametrize("cell", [(1, 1), (4, 2), (4, 4), (16, 16), (64, 32)])
@pytest.mark.parametrize("edges", [(0, None, 0, None), (8, 90, 8, 45), (16, 33, 0, 17)])
def test_shares_of_each_cell(
    pair: tuple[Run, Run], cell: tuple[int, int], edges: tuple[int, int | None, int, int | None]
) -> None:
    r0, r1, c0, c1 = edges
    found, shares = window(*pair, UP, r0=r0, r1=r1, c0=c0, c1=c1, cell=cell)
    a, b = (run.keep(UP) for run in pair)
    (top, bottom), (left, right), (high, wide) = found.rows, found.cols, found.cell
    assert (high, wide) == cell
    for i, row in enumerate(range(top, bottom, high)):
        for j, col in enumerate(range(left, right, wide)):
            cut = (slice(row, min(row + high, bottom)), slice(col, min(col + wide, right)))
            assert shares["both"][i, j] == pytest.approx((a[cut] & b[cut]).mean())
            assert shares["only_a"][i, j] == pytest.approx((a[cut] & ~b[cut]).mean(), abs=1e-6)
            assert shares["only_b"][i, j] == pytest.approx((~a[cut] & b[cut]).mean(), abs=1e-6)
            assert found.data[i, j] == pytest.approx((a[cut] != b[cut]).mean(), abs=1e-6)
            assert found.kept[i, j] == pytest.approx(a[cut].mean())


def test_single_weights_of_the_other_run(pair: tuple[Run, Run]) -> None:
    found = kept_by_other(*pair, UP, slice(3, 9), slice(5, 22))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, pair[1].keep(UP)[3:9, 5:22])


def test_another_shape_and_another_name_are_refused(
    pair: tuple[Run, Run], tmp_path_factory: pytest.TempPathFactory
) -> None:
    wide = make_run(tmp_path_factory.mktemp("wide"))
    with pytest.raises(IncomparableRunsError, match="96 x 45 in .* 96 x 48"):
        window(pair[0], wide, UP)
    with pytest.raises(IncomparableRunsError):
        kept_by_other(pair[0], wide, UP, slice(0, 1), slice(0, 1))
    with pytest.raises(MatrixNotFoundError):
        window(*pair, "no such")
