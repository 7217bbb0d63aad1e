"""Distances and contributions against plain arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kencore.errors import ShapeError
from kencore.explain import compare, contributions

FLOATS = st.floats(-8, 8, width=32)
ROW = arrays(np.float32, 7, elements=FLOATS)


@given(ROW, ROW, ROW, ROW, FLOATS, FLOATS)
def test_the_parts_are_the_whole_change(w: Any, v: Any, x: Any, y: Any, b: float, c: float) -> None:
    found = contributions(w, v, x, y, dense_bias=b, pruned_bias=c)
    dense = sum(float(w[i]) * float(x[i]) for i in range(7)) + b
    pruned = sum(float(v[i]) * float(y[i]) for i in range(7)) + c
    assert found.dense == pytest.approx(dense, abs=1e-9)
    assert found.pruned == pytest.approx(pruned, abs=1e-9)
    assert found.weights + found.inputs + found.bias == pytest.approx(dense - pruned, abs=1e-9)


@given(ROW, ROW, ROW, ROW)
def test_a_weight_that_did_not_change_adds_nothing(w: Any, v: Any, x: Any, y: Any) -> None:
    found = contributions(w, v, x, y)
    assert not found.entries[w == v].any()
    top = found.top(3)
    assert len(top) <= 3
    assert (w != v)[top].all()
    rest = np.delete(np.abs(found.entries), top)
    if len(top):
        assert rest.max(initial=0.0) <= np.abs(found.entries[top]).min()
    given_same = contributions(w, v, x, x)
    assert given_same.inputs == 0.0


@given(arrays(np.float32, (2, 3, 4), elements=FLOATS), arrays(np.float32, (2, 3, 4), elements=FLOATS))
def test_distance_by_hand(dense: Any, pruned: Any) -> None:
    found = compare(dense, pruned)
    for place in range(2):
        a, b = dense[place].astype(np.float64), pruned[place].astype(np.float64)
        sizes = np.linalg.norm(a), np.linalg.norm(b)
        if sizes[0] > 0:
            expected = np.linalg.norm(b - a) / sizes[0]
            assert found.relative[place] == pytest.approx(expected, rel=1e-9)
        else:
            assert np.isnan(found.relative[place])
        if min(sizes) > 1e-6:
            expected = (a * b).sum() / (sizes[0] * sizes[1])
            assert found.cosine[place] == pytest.approx(expected, abs=1e-9)
        for token in range(3):
            if (size := np.linalg.norm(a[token])) > 0:
                expected = np.linalg.norm(b[token] - a[token]) / size
                assert found.token_relative[place, token] == pytest.approx(expected, rel=1e-9)


def test_shapes_that_do_not_fit_are_said() -> None:
    with pytest.raises(ShapeError, match="hidden size"):
        compare(np.zeros((1, 2, 3)), np.zeros((1, 2, 4)))
    with pytest.raises(ShapeError, match="one length"):
        contributions(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(4))
