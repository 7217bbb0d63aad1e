"""The disk is full at some point of each piece of work: an error in words, and nothing half-written.

The long form tries every point: ``python -m tests.faults writes``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.nth_work import Work, works
from tests.faults.nth_write import everywhere

POINTS = 3


@pytest.fixture(scope="module")
def all_work(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Work]:
    return works(tmp_path_factory.mktemp("work"))


@pytest.mark.parametrize("name", ["prune", "sweep"])
def test_nothing_is_half_written(all_work: dict[str, Work], name: str, tmp_path: Path) -> None:
    work, check = all_work[name]
    told = everywhere(work, check, tmp_path, most=POINTS)
    assert told.wrong == []
    assert told.errors >= POINTS
