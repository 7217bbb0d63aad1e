"""One progress bar for several phases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore.system.progress import Bar, Clock


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


def test_a_clock_counts_every_moment_once() -> None:
    moments = iter([0.0, 1.0, 3.0, 7.0, 8.0, 10.0, 13.0])
    clock = Clock(lambda: next(moments))
    with clock("outer"), clock("inner"):  # 1 to 8, but for 3 to 7
        pass
    with pytest.raises(ZeroDivisionError), clock("inner"):  # 10 to 13
        _ = 1 / 0
    assert clock.seconds == {"outer": 3.0, "inner": 7.0}
    assert clock.share("inner") == 0.7
    assert clock.share("none") == 0.0
