"""Numbers behind the pictures, against sums done by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.runs import bits
from kencore.views import tables as summaries
from kencore.views.window import Window


def _line(name: str, block: int | None, role: str, **rest: object) -> dict[str, object]:
    line: dict[str, object] = {
        "name": name,
        "block": block,
        "stack": "encoder" if block is not None else "",
        "role": role,
        "part": "attention",
        "rows": 4,
        "cols": 5,
        "params": 20,
        "status": "pruned",
        "reason": "",
        "kept": 8,
        "bytes_dense": 80,
        "bytes_stored": 36,
        "diff_rms": 0.1,
        "diff_share_kept": 0.5,
        "diff_lost": 0.5,
    }
    return line | rest


@pytest.fixture
def matrices() -> pd.DataFrame:
    table = pd.DataFrame(
        [
            _line("embed.weight", None, "embedding", rows=10, params=50, kept=20),
            _line("layer.0.k.weight", 0, "k"),
            _line("layer.0.q.weight", 0, "q"),
            _line("layer.0.q.bias", 0, "bias", rows=1, params=4, kept=2, cols=4),
            _line("layer.0.k.bias", 0, "bias", rows=1, params=5, kept=3),
            _line("layer.1.q.weight", 1, "q", kept=10, diff_share_kept=0.75),
            _line(
                "layer.1.k.weight",
                1,
                "k",
                status="untouched",
                kept=pd.NA,
                reason="not in the scope",
                diff_share_kept=np.nan,
            ),
            _line(
                "head.weight",
                None,
                "head",
                status="unprunable",
                kept=pd.NA,
                params=7,
                reason="only in the tuned model",
                bytes_stored=80,
            ),
        ]
    )
    return table.astype({"block": "Int64", "kept": "Int64"})


def test_totals_count_every_entry_once(matrices: pd.DataFrame) -> None:
    total = summaries.totals(matrices)
    assert total.params == 50 + 20 + 20 + 4 + 5 + 20 + 20 + 7
    assert total.pruned == total.params - 20 - 7
    assert total.kept_pruned == 20 + 8 + 8 + 2 + 3 + 10
    assert total.kept == total.kept_pruned + 20 + 7
    assert (total.matrices, total.matrices_pruned) == (8, 6)
    assert total.share_pruned == total.kept_pruned / total.pruned
    assert total.share == total.kept / total.params
    assert (total.bytes_dense, total.bytes_stored) == (8 * 80, 7 * 36 + 80)


def test_totals_of_nothing_are_not_numbers(matrices: pd.DataFrame) -> None:
    assert np.isnan(summaries.totals(matrices.iloc[:0]).share)


def test_model_cells_are_in_model_order_and_add_up(matrices: pd.DataFrame) -> None:
    table = summaries.model_cells(matrices)
    places = [(None if pd.isna(b) else b, r) for b, r in zip(table["block"], table["role"], strict=True)]
    assert places == [(None, "embedding"), (None, "head"), (0, "q"), (0, "k"), (0, "bias"), (1, "q"), (1, "k")]
    bias = table[table["role"] == "bias"].iloc[0]
    assert (bias["matrices"], bias["params"], bias["kept"]) == (2, 9, 5)
    assert bias["share"] == 5 / 9
    assert bias["name"] == "layer.0.k.bias"  # the larger one
    untouched = table.iloc[6]
    assert (untouched["pruned"], untouched["kept"], untouched["share"]) == (0, 20, 1.0)
    assert table["params"].sum() == matrices["params"].sum()
    assert table["kept"].sum() == summaries.totals(matrices).kept


def test_model_cells_weigh_squared_differences_by_entries(matrices: pd.DataFrame) -> None:
    biases = matrices["role"] == "bias"
    matrices.loc[biases, "diff_rms"] = [0.1, 0.2]  # of 4 and 5 entries
    matrices.loc[biases, "diff_share_kept"] = [0.5, 1.0]
    matrices.loc[biases, "diff_lost"] = [1.5, 0.25]
    cell = summaries.model_cells(matrices).query("role == 'bias'").iloc[0]
    whole = 4 * 0.01 + 5 * 0.04
    assert cell["diff_share_kept"] == pytest.approx((4 * 0.01 * 0.5 + 5 * 0.04) / whole)
    assert cell["diff_lost"] == pytest.approx((4 * 0.01 * 1.5 + 5 * 0.04 * 0.25) / whole)
    assert cell["diff_rms"] == pytest.approx(np.sqrt(whole / 9))
    matrices.loc[biases, "diff_lost"] = [1.5, np.nan]
    assert np.isnan(summaries.model_cells(matrices).query("role == 'bias'")["diff_lost"].iloc[0])


def test_model_cells_without_a_difference_have_no_share_of_it(matrices: pd.DataFrame) -> None:
    matrices["diff_rms"] = 0.0
    assert summaries.model_cells(matrices)["diff_share_kept"].isna().all()


def test_a_cell_opens_a_pruned_matrix_before_a_larger_unpruned_one(matrices: pd.DataFrame) -> None:
    matrices.loc[3, ["status", "params"]] = ["untouched", 100]
    table = summaries.model_cells(matrices)
    assert table[table["role"] == "bias"].iloc[0]["name"] == "layer.0.k.bias"


def test_outside_roles_hold_what_blocks_do_not(matrices: pd.DataFrame) -> None:
    table = summaries.outside_roles(matrices)
    assert table["name"].tolist() == ["embed.weight", "head.weight"]
    assert table["share"].tolist() == [20 / 50, 1.0]


def test_by_role_covers_the_model(matrices: pd.DataFrame) -> None:
    table = summaries.by_role(matrices)
    assert table["role"].tolist() == ["q", "k", "bias", "embedding", "head"]
    assert table["params"].sum() == matrices["params"].sum()
    assert table["kept"].sum() == summaries.totals(matrices).kept


def test_left_alone_groups_by_reason(matrices: pd.DataFrame) -> None:
    table = summaries.left_alone(matrices)
    assert table["reason"].tolist() == ["not in the scope", "only in the tuned model"]
    assert table["names"].tolist() == [["layer.1.k.weight"], ["head.weight"]]
    assert table["params"].tolist() == [20, 7]


@pytest.mark.parametrize(
    ("name", "block", "wanted"),
    [
        ("encoder.layer.3.attention.query.weight", 3, "encoder.layer.*.attention.query.weight"),
        ("layers.3.experts.3.w1.weight", 3, "layers.*.experts.3.w1.weight"),
        ("layers.12.fc1.weight", 1, "layers.12.fc1.weight"),
        ("embeddings.weight", None, "embeddings.weight"),
        ("h0.weight", 0, "h0.weight"),
    ],
)
def test_family(name: str, block: int | None, wanted: str) -> None:
    assert summaries.family(name, block) == wanted


def test_families_put_matrices_before_vectors(matrices: pd.DataFrame) -> None:
    table = summaries.families(matrices)
    assert table["family"].tolist() == ["layer.*.q.weight", "layer.*.k.weight", "layer.*.q.bias", "layer.*.k.bias"]
    assert table["blocks"].tolist()[:2] == [2, 2]
    assert table["pruned"].tolist()[:2] == [2, 1]


def test_family_blocks_are_in_block_order(matrices: pd.DataFrame) -> None:
    table = summaries.family_blocks(matrices.iloc[::-1], "layer.*.k.weight")
    assert table["name"].tolist() == ["layer.0.k.weight", "layer.1.k.weight"]
    assert table["share"].tolist() == [8 / 20, 1.0]
    assert table["diff_share_kept"].tolist() == [0.5, 1.0]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 9), cols=st.integers(1, 9))
def test_mean_neighbours_against_counting(seed: int, rows: int, cols: int) -> None:
    keep = np.random.default_rng(seed).random((rows, cols)) < 0.6
    counts = []
    for r, c in zip(*np.nonzero(keep), strict=True):
        around = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
        counts.append(sum(keep[a, b] for a, b in around if 0 <= a < rows and 0 <= b < cols))
    data = np.where(keep, bits.count_neighbours(keep), np.uint8(255))
    window = Window(layer="neighbours", rows=(0, rows), cols=(0, cols), cell=(1, 1), data=data, count=keep.astype(int))
    found = summaries.mean_neighbours(window)
    assert found == pytest.approx(np.mean(counts)) if counts else np.isnan(found)


def test_mean_neighbours_weighs_larger_cells_by_what_they_keep() -> None:
    data = np.array([[1.0, 4.0, np.nan]], np.float32)
    count = np.array([[3, 1, 0]])
    window = Window(layer="neighbours", rows=(0, 2), cols=(0, 6), cell=(2, 2), data=data, count=count)
    assert summaries.mean_neighbours(window) == 1.75


rows = st.lists(st.floats(-10, 10, width=32).map(lambda value: round(value, 1)), min_size=1, max_size=60)


@settings(max_examples=80, deadline=None)
@given(values=rows, seed=st.integers(0, 2**32 - 1))
def test_deciles_against_a_plain_sort(values: list[float], seed: int) -> None:
    row = np.array(values, np.float32)
    keep = np.random.default_rng(seed).random(len(row)) < 0.5
    table = summaries.distance_deciles(row, keep)
    groups = min(10, len(row))
    assert len(table) == groups
    assert table["entries"].sum() == len(row)
    assert table["kept"].sum() == keep.sum()
    assert table["entries"].max() - table["entries"].min() <= 1
    middle = float(np.median(row.astype(np.float64)))
    ranked = sorted(range(len(row)), key=lambda i: (abs(float(row[i]) - middle), i))
    start = 0
    for line in table.itertuples():
        chosen = ranked[start : start + line.entries]
        assert line.kept == sum(bool(keep[i]) for i in chosen)
        assert line.near == abs(float(row[chosen[0]]) - middle)
        assert line.far == abs(float(row[chosen[-1]]) - middle)
        start += line.entries


def test_deciles_of_an_empty_row() -> None:
    assert summaries.distance_deciles(np.zeros(0, np.float32), np.zeros(0, bool)).empty


def test_row_numbers_by_hand() -> None:
    tuned = np.array([1.0, -3.0, 0.5, 2.0], np.float32)
    base = np.array([1.0, -1.0, 0.5, 1.0], np.float32)
    keep = np.array([False, True, False, True])
    numbers = summaries.row_numbers(tuned, base, keep)
    assert (numbers.cols, numbers.kept, numbers.share) == (4, 2, 0.5)
    assert (numbers.low, numbers.middle, numbers.high) == (-3.0, 0.75, 2.0)
    assert numbers.diff_rms == pytest.approx(np.sqrt(5 / 4))
    assert numbers.diff_share_kept == 1.0
    assert numbers.overlap_top == 1.0
    first = summaries.row_numbers(tuned, base, np.array([True, True, False, False]))
    assert first.diff_share_kept == 4 / 5
    assert first.overlap_top == 0.5


def test_row_numbers_without_a_base_or_a_difference() -> None:
    row = np.array([1.0, 2.0], np.float32)
    keep = np.array([True, False])
    assert np.isnan(summaries.row_numbers(row, None, keep).diff_rms)
    assert np.isnan(summaries.row_numbers(row, row, keep).diff_share_kept)


def test_jaccard() -> None:
    first = np.array([True, True, False, False])
    second = np.array([False, True, True, False])
    assert summaries.jaccard(first, second) == 1 / 3
    assert summaries.jaccard(first & False, first & False) == 1.0
