"""Options of matrices in several orders of harm."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kencore.codes.choice import Option, best, between

HARMS = st.lists(st.floats(0, 1e6), min_size=1, max_size=12)


def options(harms: list[float], bits: list[int]) -> list[Option]:
    return [
        Option(code="levels", value=float(i), bits=float(size), harm=harm)
        for i, (harm, size) in enumerate(zip(harms, bits, strict=True))
    ]


@given(st.data())
def test_two_orders_together_are_their_geometric_mean(data: st.DataObject) -> None:
    first = data.draw(HARMS)
    second = data.draw(st.lists(st.floats(0, 1e6), min_size=len(first), max_size=len(first)))
    sizes = data.draw(st.lists(st.integers(0, 50), min_size=len(first), max_size=len(first)))
    found = between({"m": options(first, sizes)}, {"m": options(second, sizes)})["m"]
    wanted = np.asarray(first) ** 0.75 * np.asarray(second) ** 0.25
    for one in found:
        np.testing.assert_allclose(one.harm, wanted[int(one.value)], rtol=1e-12)
    for harm, size in zip(wanted, sizes, strict=True):  # nothing that was left out beats what was kept
        assert any(one.bits <= size and one.harm <= harm * (1 + 1e-12) for one in found)
    assert all(a.bits < b.bits and a.harm > b.harm for a, b in pairwise(found))


@given(HARMS, st.data())
def test_one_order_alone_keeps_what_nothing_beats(harms: list[float], data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 50), min_size=len(harms), max_size=len(harms)))
    all_of = options(harms, sizes)
    found = best({"m": all_of})["m"]
    beaten = [
        any(o.bits <= one.bits and o.harm <= one.harm and (o.bits < one.bits or o.harm < one.harm) for o in all_of)
        for one in all_of
    ]
    assert {(one.bits, one.harm) for one in found} == {
        (one.bits, one.harm) for one, is_beaten in zip(all_of, beaten, strict=True) if not is_beaten
    }
