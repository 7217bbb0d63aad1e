"""What holds for any weight: counts, untouched inputs, no influence of threads, chunks, order."""

from __future__ import annotations

from itertools import pairwise

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kencore.methods import select as tensors
from kencore.methods.chunks import CHUNK_ENTRIES
from kencore.methods.ken import cuda as batched_kde
from kencore.methods.ken.explained import explain_row
from kencore.methods.rows import RowIndex
from kencore.methods.select import select, select_batched, select_rows
from kencore.methods.table import METHODS, rules
from tests.methods.rows_of import rows_of

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
RANKED = [rule for rule in rules() if METHODS[rule].nested]
quick = settings(max_examples=40, deadline=None)

# whole numbers make ties, full floats make every exponent, subnormals and signed zeros
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)
MATRICES = st.one_of(
    arrays.arrays(np.float32, SHAPES, elements=st.integers(-3, 3).map(float)),
    arrays.arrays(np.float32, SHAPES, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    arrays.arrays(np.float32, SHAPES, elements=st.floats(-1, 1, width=16)),
)


def mask_of(rows: NDArray[np.float32], k: object, rule: str, threads: int = 1) -> NDArray[np.bool_]:
    rng = np.random.default_rng(5) if rule == "random" else None
    return select_rows(rows, -rows[::-1], k, rule, rng=rng, threads=threads)


@pytest.mark.parametrize("rule", rules())
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@quick
@given(matrix=MATRICES, data=st.data())
def test_exactly_k_of_each_row(rule: str, dtype: torch.dtype, matrix: NDArray[np.float32], data: st.DataObject) -> None:
    weight = torch.from_numpy(matrix).to(dtype).nan_to_num_()  # fp16 overflows are clipped
    rows, columns = weight.shape
    counts = st.integers(1, columns + 2)
    k = data.draw(st.one_of(counts, st.lists(counts, min_size=rows, max_size=rows)))
    before = weight.clone()
    keep = select(weight, k, rule=rule, base=-before)
    assert keep.dtype == torch.bool
    assert keep.shape == weight.shape
    assert keep.sum(1).tolist() == np.broadcast_to(np.minimum(k, columns), rows).tolist()
    assert torch.equal(weight, before)
    assert torch.equal(weight.signbit(), before.signbit())


@pytest.mark.parametrize("rule", ["ken", "ken-density"])
@quick
@given(matrix=MATRICES, data=st.data())
def test_every_path_agrees_on_any_matrix(rule: str, matrix: NDArray[np.float32], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, matrix.shape[1]))
    keep = select_rows(matrix, None, k, rule)
    on_device = select_batched(torch.from_numpy(matrix), None, k, rule)
    np.testing.assert_array_equal(on_device.numpy(), keep)
    for row, mask in zip(matrix, keep, strict=True):
        np.testing.assert_array_equal(explain_row(row, k, rule).keep, mask)


@pytest.mark.parametrize("rule", rules())
@quick
@given(matrix=MATRICES, data=st.data())
def test_row_index_is_a_fresh_selection(rule: str, matrix: NDArray[np.float32], data: st.DataObject) -> None:
    def rng() -> np.random.Generator | None:
        return np.random.default_rng(3) if rule == "random" else None

    base = matrix[:, ::-1] / 2
    index = RowIndex(matrix, rule=rule, base=base, rng=rng())
    for k in data.draw(st.lists(st.integers(1, matrix.shape[1] + 1), min_size=1, max_size=4)):
        fresh = select_rows(matrix, base, k, rule, rng=rng())
        np.testing.assert_array_equal(index.keep(k), fresh)


@pytest.mark.parametrize("rule", RANKED)
@quick
@given(matrix=MATRICES)
def test_ranked_masks_are_nested(rule: str, matrix: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(3) if rule == "random" else None
    index = RowIndex(matrix, rule=rule, base=-matrix, rng=rng)
    masks = [index.keep(k) for k in range(1, matrix.shape[1] + 1)]
    assert all((small <= large).all() for small, large in pairwise(masks))
    assert masks[-1].all()


@pytest.mark.parametrize("rule", rules())
def test_threads_change_nothing(rule: str) -> None:
    rows = rows_of("bf16", 0, 3 * CHUNK_ENTRIES // 700 + 5, 700)
    k = np.random.default_rng(0).integers(1, 701, size=len(rows))
    one = mask_of(rows, k, rule)
    for threads in (2, 3, 16):
        np.testing.assert_array_equal(mask_of(rows, k, rule, threads), one)
    index = RowIndex(rows, rule=rule, base=-rows[::-1], rng=np.random.default_rng(5), threads=4)
    np.testing.assert_array_equal(index.keep(k), one)


@pytest.mark.parametrize("rule", ["ken", "ken-density", "delta", "magnitude"])
def test_a_row_does_not_depend_on_the_rows_beside_it(rule: str) -> None:
    rows = np.concatenate([rows_of(kind, 1, 12, 90) for kind in ("normal", "fp16", "zeros")])
    order = np.random.default_rng(1).permutation(len(rows))
    whole = select_rows(rows, rows / 3, 31, rule)
    np.testing.assert_array_equal(select_rows(rows[order], rows[order] / 3, 31, rule), whole[order])
    for r in (0, 20, 35):
        alone = select_rows(rows[r : r + 1], rows[r : r + 1] / 3, 31, rule)
        np.testing.assert_array_equal(alone[0], whole[r])


@pytest.mark.parametrize("rule", rules())
def test_strides_and_read_only_memory_change_nothing(rule: str) -> None:
    rows = rows_of("normal", 2, 64, 50)
    plain = mask_of(rows, 20, rule)
    wide = np.zeros((128, 100), np.float32)
    wide[::2, ::2] = rows
    frozen = rows.copy()
    frozen.flags.writeable = False
    for same in (np.asfortranarray(rows), wide[::2, ::2], frozen):
        np.testing.assert_array_equal(mask_of(same, 20, rule), plain)
    transposed = torch.from_numpy(np.ascontiguousarray(rows.T)).T
    if rule != "random":
        keep = select(transposed, 20, rule=rule, base=torch.from_numpy(-rows[::-1].copy()))
        np.testing.assert_array_equal(keep.numpy(), plain)


@pytest.mark.parametrize("rule", rules())
def test_one_dimension_is_one_row(rule: str) -> None:
    row = torch.from_numpy(rows_of("normal", 3, 1, 60)[0])
    seed = torch.Generator().manual_seed(1)
    keep = select(row, 17, rule=rule, base=-row, generator=seed.manual_seed(1))
    matrix = select(row[None], 17, rule=rule, base=-row[None], generator=seed.manual_seed(1))
    assert keep.shape == (60,)
    assert torch.equal(keep, matrix[0])
    assert torch.equal(select(row, [17], rule=rule, base=-row, generator=seed.manual_seed(1)), keep)


@pytest.mark.parametrize("rule", rules())
def test_matrices_without_entries(rule: str) -> None:
    for shape in ((0, 5), (4, 0), (0, 0)):
        weight = torch.zeros(shape)
        assert select(weight, 3, rule=rule, base=weight).shape == shape
        assert select(weight, [3] * shape[0], rule=rule, base=weight).shape == shape
        assert (
            RowIndex(weight.numpy(), rule=rule, base=weight.numpy(), rng=np.random.default_rng(0)).keep(3).shape
            == shape
        )


@pytest.mark.parametrize("rule", rules())
def test_a_constant_row_keeps_its_first_k_or_any_k_at_random(rule: str) -> None:
    for value in (0.0, -0.0, 0.1, -3e38, 1e-45):
        for columns in (1, 7, 768):
            row = torch.full((columns,), value)
            keep = select(row, 5, rule=rule, base=torch.zeros(columns))
            if rule == "random":
                assert keep.sum() == min(5, columns)
            else:
                assert keep.nonzero().flatten().tolist() == list(range(min(5, columns)))


@pytest.mark.parametrize("rule", rules())
def test_a_device_with_its_own_rules_gives_the_same_masks(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The branch of CUDA devices, taken by a CPU tensor."""
    weight = torch.from_numpy(rows_of("few levels", 4, 20, 80)).double() + torch.randn(20, 80)
    base = torch.randn(20, 80).half()
    k = torch.randint(1, 90, (20,))
    seed = torch.Generator()
    compiled = select(weight, k, rule=rule, base=base, generator=seed.manual_seed(2))
    monkeypatch.setattr(tensors, "BATCHED_DEVICES", frozenset({"cpu"}))
    monkeypatch.setattr(tensors, "BATCH_ENTRIES", 300)  # many batches
    monkeypatch.setattr(batched_kde, "SUM_ENTRIES", 1000)
    before = weight.clone()
    on_device = select(weight, k, rule=rule, base=base, generator=seed.manual_seed(2))
    assert torch.equal(on_device, compiled)
    assert torch.equal(weight, before)
    row = select(weight[0], int(k[0]), rule=rule, base=base[0], generator=seed.manual_seed(2))
    assert row.sum() == min(int(k[0]), 80)
