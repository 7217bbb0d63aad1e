"""Overlaps counted from bits against unpacked masks; indices against their definitions."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.errors import IncomparableRunsError, MatrixNotFoundError
from kencore.runs import bits
from kencore.runs.run import Run
from kencore.views.compare import masks as module
from kencore.views.compare.masks import compare, grouped, row_overlap, total
from tests.support import runs as made_runs
from tests.support.runs import make_lm_run, make_run

QUERY = "bert.encoder.layer.1.attention.self.query.weight"


class Masks:
    """What counting reads of a run: shapes and packed masks."""

    def __init__(self, name: str, keep: np.ndarray) -> None:
        self.id, self.keep_mask = name, keep

    def shape(self, name: str) -> tuple[int, int]:
        return cast("tuple[int, int]", self.keep_mask.shape)

    def mask_bits(self, name: str, rows: slice = slice(None)) -> np.ndarray:
        return bits.pack(self.keep_mask[rows])


def as_runs(*masks: np.ndarray) -> tuple[Run, ...]:
    return tuple(cast(Run, Masks(f"run {i}", mask)) for i, mask in enumerate(masks))


@st.composite
def two_masks(draw: Any) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.integers(1, 20)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shares = draw(st.tuples(st.floats(0, 1), st.floats(0, 1)))
    first, second = (rng.random(shape) < share for share in shares)
    return first, second


@settings(deadline=None)
@given(two_masks(), st.integers(1, 40))
def test_rows_are_those_of_the_unpacked_masks(masks: tuple[np.ndarray, np.ndarray], at_once: int) -> None:
    a, b = masks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BYTES_AT_ONCE", at_once)  # several pieces
        table = row_overlap(*as_runs(a, b), "w")
    np.testing.assert_array_equal(table["both"], (a & b).sum(1))
    np.testing.assert_array_equal(table["only_a"], (a & ~b).sum(1))
    np.testing.assert_array_equal(table["only_b"], (~a & b).sum(1))
    np.testing.assert_array_equal(table["neither"], (~a & ~b).sum(1))
    either = (a | b).sum(1)
    wanted = np.where(either, (a & b).sum(1) / np.maximum(either, 1), np.nan)
    np.testing.assert_allclose(table["jaccard"], wanted)
    whole = total(row_overlap(*as_runs(a, b), "w"))
    assert whole.params == a.size
    assert (whole.both, whole.only_a) == (int((a & b).sum()), int((a & ~b).sum()))


@settings(deadline=None)
@given(two_masks())
def test_the_other_way_round_is_the_mirror_image(masks: tuple[np.ndarray, np.ndarray]) -> None:
    there, back = total(row_overlap(*as_runs(*masks), "w")), total(row_overlap(*as_runs(*masks[::-1]), "w"))
    assert (there.only_a, there.only_b) == (back.only_b, back.only_a)
    assert (there.both, there.neither) == (back.both, back.neither)
    np.testing.assert_equal(there.jaccard, back.jaccard)
    np.testing.assert_allclose(there.chance, back.chance)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 31), st.integers(1, 31), st.integers(0, 2**32))
def test_chance_is_what_random_masks_of_these_budgets_come_to(k: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cols = 3000, 32

    def drawn(count: int) -> np.ndarray:
        return rng.permuted(np.arange(cols)[None, :].repeat(rows, 0) < count, axis=1)

    found = total(row_overlap(*as_runs(drawn(k), drawn(m)), "w"))
    # both: hypergeometric in each row, so the mean of 3,000 rows has this standard error
    error = np.sqrt(k * m * (cols - k) * (cols - m) / (cols**2 * (cols - 1)) / rows) * rows
    assert abs(found.both - found.by_chance) <= 5 * error + 1e-9
    assert found.by_chance == pytest.approx(rows * k * m / cols)


def test_masks_that_keep_nothing_have_no_index() -> None:
    found = total(row_overlap(*as_runs(np.zeros((2, 5), bool), np.zeros((2, 5), bool)), "w"))
    assert np.isnan(found.jaccard)
    assert np.isnan(found.chance)
    assert found.neither == 10


# --- runs -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Three rules on one pair, with rows that are no whole number of bytes."""
    folder = tmp_path_factory.mktemp("trio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_runs, "HIDDEN", 45)
        return [make_run(folder, "ken"), make_run(folder, "delta"), make_run(folder, "random", keep=0.3)]


def test_every_matrix_and_pair_against_unpacked_masks(trio: list[Run]) -> None:
    found = compare(trio)
    assert list(found.matrices["name"]) == list(trio[0].pruned)
    assert len(found.left_out) == 0
    assert found.notes == ()
    for name in trio[0].pruned:
        masks = [run.keep(name) for run in trio]
        line = found.matrices.set_index("name").loc[name]
        assert line["kept_by_all"] == np.logical_and.reduce(masks).sum()
        assert line["kept_by_none"] == (~np.logical_or.reduce(masks)).sum()
        assert [line[f"kept_{i}"] for i in range(3)] == [mask.sum() for mask in masks]
        for a, b in combinations(range(3), 2):
            pair = found.pair(a, b).set_index("name").loc[name]
            assert pair["both"] == (masks[a] & masks[b]).sum()
            assert pair["only_a"] == (masks[a] & ~masks[b]).sum()
            assert pair["only_b"] == (masks[b] & ~masks[a]).sum()
            assert pair["neither"] == (~masks[a] & ~masks[b]).sum()
            assert found.pair(b, a).set_index("name").loc[name]["only_a"] == pair["only_b"]


def test_groups_are_sums_and_open_their_largest_matrix(trio: list[Run]) -> None:
    table = compare(trio).pair()
    for keys in (["role"], ["stack", "block"], ["stack", "block", "role"]):
        sums = grouped(table, keys)
        assert (
            sums[["both", "only_a", "only_b", "neither"]].sum().tolist()
            == table[["both", "only_a", "only_b", "neither"]].sum().tolist()
        )
        assert total(sums).jaccard == pytest.approx(total(table).jaccard)
    roles = grouped(table, ["role"])
    ups = table[table["role"] == "up"]
    up = roles.set_index("role").loc["up"]
    assert up["name"] in set(ups["name"])
    assert up["jaccard"] == pytest.approx(ups["both"].sum() / (ups["both"] + ups["only_a"] + ups["only_b"]).sum())
    assert list(roles["role"])[:3] == ["q", "k", "v"]


def test_the_matrix_of_indices_is_symmetric(trio: list[Run]) -> None:
    found = compare(trio)
    grid = found.jaccard_matrix()
    np.testing.assert_array_equal(grid, grid.T)
    np.testing.assert_array_equal(np.diag(grid), 1)
    assert grid.iloc[0, 2] == found.overall(0, 2).jaccard


def test_a_run_against_a_copy_of_itself_agrees_in_everything(tmp_path: Path) -> None:
    first, second = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    found = compare([first, second]).overall()
    assert (found.only_a, found.only_b, found.jaccard) == (0, 0, 1)


def test_what_only_some_pruned_or_in_another_shape_is_told(trio: list[Run], tmp_path: Path) -> None:
    wide = make_run(tmp_path)  # 48 wide where the others are 45
    found = row_overlap(trio[0], trio[1], QUERY)
    assert len(found) == 45
    with pytest.raises(IncomparableRunsError, match="45 x 45 in .* and 48 x 48"):
        row_overlap(trio[0], wide, QUERY)
    with pytest.raises(IncomparableRunsError, match="shapes 200 x 45 and 200 x 48"):
        compare([trio[0], wide])
    with pytest.raises(MatrixNotFoundError):
        row_overlap(trio[0], trio[1], "no such")


def test_another_model_of_the_same_shapes_is_compared_with_a_warning(tmp_path: Path) -> None:
    first = make_lm_run(tmp_path / "a", allocation="uniform")
    second = make_lm_run(tmp_path / "b", allocation="uniform", seed=1)
    (note,) = compare([first, second]).notes
    assert "another model" in note
    assert "compared by place alone" in note
    alike = make_lm_run(tmp_path / "a2", allocation="owl")
    assert compare([first, alike]).notes == ()


def test_models_without_a_common_matrix_are_refused(trio: list[Run], tmp_path: Path) -> None:
    other = make_lm_run(tmp_path)
    with pytest.raises(IncomparableRunsError, match="no matrix that all of them pruned"):
        compare([trio[0], other])
    with pytest.raises(IncomparableRunsError, match="the same run twice"):
        compare([trio[0], trio[0]])
    with pytest.raises(IncomparableRunsError, match="1 run;"):
        compare(trio[:1])


def test_progress_counts_matrices_and_may_cancel(trio: list[Run]) -> None:
    seen: list[tuple[float, float, str]] = []
    compare(trio, progress=lambda *step: seen.append(step))
    assert seen[0] == (0, len(trio[0].pruned), trio[0].pruned[0])
    assert len(seen) == len(trio[0].pruned)

    def cancel(*step: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(trio, progress=cancel)
