"""Ticks of axes of blocks."""

from __future__ import annotations

import pytest

from app.charts.ticks import FEW, block_ticks


@pytest.mark.parametrize("count", [1, 6, FEW])
def test_few_blocks_have_a_tick_each(count: int) -> None:
    ticks = block_ticks([f"block {i}" for i in range(count)])
    assert ticks["tickvals"] == list(range(count))
    assert ticks["ticktext"] == [str(i) for i in range(count)]


def test_many_blocks_are_numbered_as_the_width_allows() -> None:
    ticks = block_ticks([f"block {i}" for i in range(30)])
    assert ticks["tickmode"] == "auto"
    assert "tickvals" not in ticks


@pytest.mark.parametrize("count", [13, 24, 60])
def test_blocks_of_several_stacks_keep_their_names(count: int) -> None:
    labels = [f"encoder {i}" for i in range(count // 2)] + [f"decoder {i}" for i in range(count - count // 2)]
    ticks = block_ticks(labels)
    assert len(ticks["tickvals"]) <= FEW
    assert ticks["ticktext"] == [labels[place] for place in ticks["tickvals"]]
    assert ticks["tickvals"][0] == 0
