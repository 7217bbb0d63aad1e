"""A balance: the total is held, the others give way in proportion, nothing passes a whole row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from kencore.allocate.balance import Place, balanced, factors, parse_balance
from kencore.allocate.budget import balanced_counts
from kencore.allocate.slot import Slot
from kencore.errors import SpecError

FACTORS = st.sampled_from([1 / 64, 0.3, 0.5, 1.0, 1.5, 4.0, 64.0])


@st.composite
def models(draw: st.DrawFn) -> tuple[list[Slot], dict[str, np.ndarray], dict[str, float]]:
    slots, kept, factor = [], {}, {}
    for i in range(draw(st.integers(1, 6))):
        rows, cols = draw(st.integers(1, 9)), draw(st.integers(1, 40))
        slots.append(Slot(name=str(i), block=i, role="q", rows=rows, cols=cols))
        kept[str(i)] = np.full(rows, draw(st.integers(1, cols)))
        factor[str(i)] = draw(FACTORS)
    return slots, kept, factor


@given(models())
def test_the_total_is_held_to_the_entry(model: tuple) -> None:
    slots, kept, factor = model
    found = balanced_counts(slots, kept, factor)
    assert sum(rows.sum() for rows in found.values()) == sum(rows.sum() for rows in kept.values())
    for slot in slots:
        rows = found[slot.name]
        assert rows.shape == (slot.rows,)
        assert rows.min() >= 0
        assert rows.max() <= slot.cols
        assert rows.max() - rows.min() <= 1


@given(models())
def test_alike_factors_move_nothing(model: tuple) -> None:
    slots, kept, _ = model
    found = balanced_counts(slots, kept, dict.fromkeys(kept, 2.0))
    assert all((found[name] == kept[name]).all() for name in kept)


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.integers(1, 500), FACTORS), min_size=1, max_size=12), st.floats(0.01, 1)
)
def test_shares_are_those_of_a_root_finder(parts: list, part: float) -> None:
    shares, weights, factor = (np.array(column, np.float64) for column in zip(*parts, strict=True))
    total = part * weights.sum()
    found, c = balanced(shares, weights, factor, total)
    assert found @ weights == pytest.approx(total, rel=1e-9)

    def off(log: float) -> float:
        return float(np.minimum(1, np.exp(log) * shares * factor) @ weights - total)

    if part < 0.999:
        assert np.log(c) == pytest.approx(brentq(off, -30, 30, xtol=1e-12), abs=1e-6)
    x = shares * factor
    free = found < 1 - 1e-9
    assert (found[free] / x[free] == pytest.approx(c, rel=1e-9)) if free.any() else True


def test_everything_kept_stays_so() -> None:
    found, _ = balanced(np.ones(3), np.full(3, 10.0), np.array([0.5, 1, 2]), 30)
    assert found.tolist() == [1, 1, 1]


def test_a_matrix_answers_to_its_role_and_its_block() -> None:
    places = {"a": Place("q", 0, "blocks"), "b": Place("k", 0, "blocks"), "c": Place("embedding", None)}
    found = factors(parse_balance(["q=2", "b0=0.5"]), places)
    assert found == {"a": 1.0, "b": 0.5, "c": 1.0}
    two = {"a": Place("q", 0, "encoder"), "b": Place("q", 0, "decoder")}
    assert factors(parse_balance(["encoder.b0=3"]), two) == {"a": 3.0, "b": 1.0}


@pytest.mark.parametrize("text", ["q", "q=", "=2", "q=0", "q=65", "q=x", "q=1.2.3", "q =2; rm"])
def test_what_is_no_factor_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="balance"):
        parse_balance([text])


def test_a_factor_twice_or_of_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="second time"):
        parse_balance(["q=2", "q=3"])
    with pytest.raises(SpecError, match=r"b7.*wanted some of q, b0"):
        factors({"b7": 2.0}, {"a": Place("q", 0, "blocks")})
