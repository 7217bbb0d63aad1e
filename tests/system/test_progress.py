"""One progress bar for several phases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore.system.progress import Bar, Seconds


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=6), st.integers(1, 5))
def test_phases_follow_each_other_to_the_end(work: list[float], steps: int) -> None:
    seen: list[float] = []
    bar = Bar(lambda done, total, message: seen.append(done / total), sum(work))
    for own in work:
        phase = bar.phase("", own)
        for step in range(steps + 1):
            phase(step, steps, "")
    assert (np.diff(seen) >= -1e-9).all()
    assert max(seen) <= 1
    if sum(work) >= 1:
        assert seen[-1] == pytest.approx(1)


def test_messages_name_their_phase() -> None:
    seen: list[str] = []
    bar = Bar(lambda done, total, message: seen.append(message), 2)
    bar.phase("Measuring", 1)(0, 1, "window 1")
    bar.phase("", 1)(0, 1, "Pruning")
    assert seen == ["Measuring: window 1", "Pruning"]


def test_seconds_add_up_also_where_a_phase_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 2.0, 10.0, 13.0])
    monkeypatch.setattr("kencore.system.progress.time.monotonic", lambda: next(clock))
    seconds = Seconds()
    with seconds("prune"):
        pass
    with pytest.raises(ZeroDivisionError), seconds("prune"):
        _ = 1 / 0
    assert seconds == {"prune": 5.0}
