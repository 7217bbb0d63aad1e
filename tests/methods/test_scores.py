"""Scores against the papers' formulas in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kencore.errors import ShapeError, SpecError
from kencore.methods.registry import load
from kencore.methods.statistics import RunningInputs
from kencore.methods.table import METHODS

SCORES = {name: load(row.score) for name, row in METHODS.items() if row.score and not row.update}


def layer(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, RunningInputs]:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn((7, 11), generator=generator).to(dtype)
    statistics = RunningInputs(11, frozenset({"norm"}))
    statistics.add(torch.randn((3, 20, 11), generator=generator))
    return weight, statistics


def expected(method: str, weight: torch.Tensor, statistics: RunningInputs) -> np.ndarray:
    size = weight.double().abs().numpy()
    norm = statistics.norm().double().numpy()
    if method == "magnitude":
        return size
    if method == "wanda":
        return size * norm
    rows, columns = size.shape
    score = np.empty_like(size)
    for i in range(rows):
        for j in range(columns):
            leaving = np.mean([size[i, c] * norm[c] for c in range(columns)])
            entering = np.mean([size[r, j] * norm[j] for r in range(rows)])
            score[i, j] = size[i, j] * leaving * entering
    return score


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("method", SCORES)
def test_the_formula(method: str, dtype: torch.dtype) -> None:
    weight, statistics = layer(dtype)
    before, norm = weight.clone(), statistics.norm()
    score = SCORES[method](weight, statistics)
    assert score.dtype == torch.float32
    assert np.allclose(score, expected(method, weight, statistics), rtol=1e-5)
    assert torch.equal(weight, before)
    assert torch.equal(statistics.norm(), norm)


def test_what_methods_need() -> None:
    weight, statistics = layer()
    for method, score in SCORES.items():
        if METHODS[method].statistics:
            with pytest.raises(SpecError, match="those of the layer's inputs"):
                score(weight, None)
            with pytest.raises(ShapeError, match="11 inputs; wanted 7"):
                score(weight.t(), statistics)
            with pytest.raises(SpecError, match="gathered moments"):
                score(weight, RunningInputs(11, frozenset({"moments"})))
        else:
            assert torch.equal(score(weight, None), weight.abs())


def test_multiflow_of_small_weights_does_not_underflow() -> None:
    weight, statistics = layer()
    tiny = (weight * 1e-4).half()
    assert (SCORES["multiflow"](tiny, statistics)[tiny != 0] > 0).all()
