"""Each mistake has its own error, and the message says where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from kencore.errors import NonFiniteWeightError, ShapeError, SpecError
from kencore.methods import select as tensors
from kencore.methods.ken.explained import explain_row
from kencore.methods.rows import RowIndex
from kencore.methods.select import select, select_rows
from kencore.methods.table import rules

WEIGHT = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ShapeError, {"weight": torch.zeros(2, 3, 4)}),
        (ShapeError, {"weight": torch.tensor(1.0)}),
        (ShapeError, {"weight": torch.zeros(2, 3, dtype=torch.int64)}),
        (ShapeError, {"weight": torch.zeros(2, 3, dtype=torch.complex64)}),
        (ShapeError, {"weight": torch.zeros(2, 3).to_sparse()}),
        (ShapeError, {"weight": torch.zeros(2, 3, device="meta")}),
        (ShapeError, {"weight": WEIGHT.numpy()}),
        (ShapeError, {"weight": [[1.0, 2.0]]}),
        (ShapeError, {"k": [1, 2, 3]}),
        (ShapeError, {"k": torch.ones(4, 1, dtype=torch.int64)}),
        (ShapeError, {"base": WEIGHT[:, :5]}),
        (ShapeError, {"base": WEIGHT[0]}),
        (ShapeError, {"base": WEIGHT.long()}),
        (ShapeError, {"base": WEIGHT.numpy()}),
        (ShapeError, {"base": WEIGHT[:, :5], "rule": "ken"}),
        (SpecError, {"base": None}),
        (SpecError, {"rule": "kde"}),
        (SpecError, {"k": 0}),
        (SpecError, {"k": -3}),
        (SpecError, {"k": 2.0}),
        (SpecError, {"k": True}),
        (SpecError, {"k": None}),
        (SpecError, {"k": "2"}),
        (SpecError, {"k": [1, 0, 2, 3]}),
        (SpecError, {"k": torch.tensor([1.0, 2.0, 2.0, 3.0])}),
        (SpecError, {"k": np.float64(2)}),
    ],
)
def test_what_select_refuses(error: type[Exception], arguments: dict[str, Any]) -> None:
    with pytest.raises(error):
        select(**{"weight": WEIGHT, "k": 2, "rule": "delta", "base": WEIGHT, **arguments})


@pytest.mark.parametrize(
    "k", [3, np.int32(3), np.uint8(3), torch.tensor(3), [3] * 4, (3, 3, 3, 3), np.full(4, 3)], ids=repr
)
def test_what_k_can_be(k: object) -> None:
    assert select(WEIGHT, k).sum(1).tolist() == [3] * 4


def test_a_k_beyond_every_row() -> None:
    assert select(WEIGHT, 10**30).all()
    assert select(WEIGHT, [7, 2**62, 1, 2]).sum(1).tolist() == [6, 6, 1, 2]


@pytest.mark.parametrize("rule", rules())
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite(rule: str, value: float) -> None:
    rows = np.zeros((30_000, 6), np.float32)
    rows[:, 0] = 1
    rows[25_017, 4] = rows[29_000, 1] = value  # not in the first chunk of rows
    for threads in (1, 3):
        with pytest.raises(NonFiniteWeightError, match=r"blocks\.3\.up.* in row 25017, column 4"):
            select_rows(rows, rows, 2, rule, rng=np.random.default_rng(0), threads=threads, name="blocks.3.up")
    with pytest.raises(NonFiniteWeightError, match="row 25017"):
        select(torch.from_numpy(rows), 2, rule, base=torch.zeros(30_000, 6))


def test_a_base_that_is_not_finite() -> None:
    base = WEIGHT.clone()
    base[2, 5] = torch.nan
    with pytest.raises(NonFiniteWeightError, match=r"base of up: nan in row 2, column 5"):
        select(WEIGHT, 2, "delta", base=base, name="up")
    assert select(WEIGHT, 2, "ken", base=base).sum() == 8  # looked at by delta alone


@pytest.mark.parametrize("device", ["compiled", "batched"])
def test_errors_of_the_device_path(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device == "batched":
        monkeypatch.setattr(tensors, "BATCHED_DEVICES", frozenset({"cpu"}))
        monkeypatch.setattr(tensors, "BATCH_ENTRIES", 6)
    weight = WEIGHT.clone()
    weight[3, 1] = torch.inf
    with pytest.raises(NonFiniteWeightError, match=r"up: inf in row 3, column 1"):
        select(weight, 2, name="up")
    beyond = WEIGHT.double()
    beyond[1, 0] = 1e300
    with pytest.raises(NonFiniteWeightError, match=r"beyond float32 in row 1"):
        select(beyond, 2)
    assert select(beyond, 1, "magnitude")[1].tolist() == [True] + [False] * 5


def test_what_the_numpy_entries_refuse() -> None:
    rows = WEIGHT.numpy()
    with pytest.raises(SpecError, match="Generator"):
        select_rows(rows, None, 2, "random")
    with pytest.raises(ShapeError):
        select_rows(rows[0], None, 2, "ken")
    with pytest.raises(ShapeError):
        select_rows(rows.astype(np.int64), None, 2, "ken")
    with pytest.raises(ShapeError):
        select_rows(rows, rows[:, 1:], 2, "delta")
    with pytest.raises(SpecError):
        RowIndex(rows, rule="delta")
    with pytest.raises(SpecError):
        RowIndex(rows).keep(0)
    with pytest.raises(SpecError):
        RowIndex(rows, rule="best")


def test_what_an_explanation_refuses() -> None:
    row = WEIGHT.numpy()[0]
    with pytest.raises(SpecError):
        explain_row(row, 0)
    with pytest.raises(SpecError):
        explain_row(row, 2, "magnitude")
    with pytest.raises(ShapeError):
        explain_row(WEIGHT.numpy(), 2)
    with pytest.raises(ShapeError):
        explain_row(row[:0], 2)
    with pytest.raises(NonFiniteWeightError, match="q row 3"):
        explain_row(np.array([1.0, np.nan]), 1, name="q row 3")
