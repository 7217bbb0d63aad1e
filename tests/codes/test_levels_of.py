"""How finely each change is kept, and what the bytes of a code are, against the rules written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore.codes.grid import grid
from kencore.codes.levels import levels, signs
from kencore.codes.lowrank import lowrank
from kencore.codes.seeded import seeded
from kencore.codes.table import decode, levels_of, parts_of

D = np.random.default_rng(3).normal(0, 0.02, (40, 64)).astype(np.float32)
MADE = {
    "levels": levels(D, 0.7),
    "signs": signs(D, 0.25),
    "seeded": seeded(D, 0.3, seed=1, stream=2, by_row=False),
    "seeded by row": seeded(D, 0.3, seed=1, stream=2, by_row=True),
    "lowrank": lowrank(D, 1.0),
    "grid": grid(D[:1]),
}


def test_levels_are_those_of_the_rule() -> None:
    rms = np.sqrt(np.square(D, dtype=np.float64).mean(axis=1, keepdims=True))
    expected = np.sign(D) * np.floor(np.abs(D) / (0.7 * rms) + 0.33)
    assert (levels_of(MADE["levels"]) == expected).mean() > 0.999  # an entry at the edge of a step may round
    assert np.abs(levels_of(MADE["levels"])).max() > 2


@pytest.mark.parametrize("name", ["signs", "seeded", "seeded by row"])
def test_a_sign_is_a_level_of_one(name: str) -> None:
    found, (values, mask) = levels_of(MADE[name]), decode(MADE[name])
    assert set(np.unique(found)) == {-1, 0, 1}
    assert ((found != 0) == mask).all()
    assert (found[mask] == np.sign(values[mask])).all()


def test_of_a_product_levels_are_in_rms_of_the_row() -> None:
    values = decode(MADE["lowrank"])[0].astype(np.float64)
    rms = np.sqrt((values**2).mean(axis=1, keepdims=True))
    assert np.abs(levels_of(MADE["lowrank"]) - values / rms).max() <= 0.5001


@given(name=st.sampled_from(list(MADE)), first=st.integers(0, 39), count=st.integers(0, 9))
@settings(max_examples=40)
def test_some_rows_are_those_of_the_whole(name: str, first: int, count: int) -> None:
    rows = slice(first, first + count)
    assert np.array_equal(levels_of(MADE[name], rows), levels_of(MADE[name])[rows])


def test_parts_are_all_the_bytes() -> None:
    for made in MADE.values():
        assert sum(parts_of(made).values()) == len(made.data)
    count = int(np.abs(levels_of(MADE["levels"])).max())
    assert parts_of(MADE["levels"])["scales"] == 2 * (40 + count)  # of rows, and of levels
    assert parts_of(MADE["seeded"])["scales"] == 2
    assert parts_of(MADE["seeded by row"])["scales"] > 6
    assert parts_of(MADE["seeded by row"])["symbols"] == parts_of(MADE["seeded"])["symbols"]
