"""Remaining time: exact for steady work, little moved by what is odd."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore.jobs.context import SAMPLES, TimeLeft


def fed(pairs: list[tuple[float, float]], total: float) -> TimeLeft:
    left = TimeLeft()
    for now, done in pairs:
        left.add(now, done, total)
    return left


@given(rate=st.floats(0.01, 1e9), steps=st.integers(4, 500), every=st.floats(0.5, 100), share=st.floats(0.01, 1))
def test_steady_work_is_estimated_exactly(rate: float, steps: int, every: float, share: float) -> None:
    total = steps * every * rate / share
    left = fed([(step * every, step * every * rate) for step in range(steps)], total)
    spent = (steps - 1) * every
    assert left.seconds() == pytest.approx(total / rate - spent, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("pause_at", [3, 10, 20, 24])
def test_a_long_pause_hardly_moves_the_estimate(pause_at: int) -> None:
    # one a second, but for one pause of 80 s: 75 of 100 left; the plain average would say 312 s
    steps = [(t + 80.0 * (t >= pause_at), float(t)) for t in range(26)]
    seconds = fed(steps, 100).seconds()
    assert seconds == pytest.approx(75, rel=0.15)


def test_a_slow_first_step_is_forgotten() -> None:
    steps = [(0.0, 0.0), *((60.0 + t, 1.0 + t) for t in range(20))]
    assert fed(steps, 100).seconds() == pytest.approx(80)


def test_few_large_steps_have_the_average_rate() -> None:
    steps = [(float(t), 10.0 * (t >= 15)) for t in range(21)]
    assert fed(steps, 100).seconds() == pytest.approx(90 / (10 / 20))


def test_there_is_no_estimate_from_too_little() -> None:
    assert TimeLeft().seconds() is None
    assert fed([(0, 0), (1, 1), (2, 2)], 10).seconds() is None
    assert fed([(i / 100, i) for i in range(10)], 10).seconds() is None  # less than a second
    assert fed([(i, i) for i in range(10)], 0).seconds() is None  # no total
    assert fed([(i, 0) for i in range(10)], 5).seconds() is None  # nothing done


@pytest.mark.parametrize("second", [(10.0, 0.0, 20.0), (10.0, 2.0, 50.0)])
def test_a_new_phase_forgets_the_old_rate(second: tuple[float, float, float]) -> None:
    left = fed([(float(t), 3.0 * t) for t in range(10)], 20)
    now, done, total = second
    left.add(now, done, total)
    assert left.seconds() is None
    for step in range(1, 10):
        left.add(now + step, done + step, total)
    assert left.seconds() == pytest.approx(total - done - 9)


def test_a_long_job_keeps_few_samples_over_all_of_it() -> None:
    left = fed([(float(t), float(t)) for t in range(10_000)], 20_000)
    times = [time for time, _ in left._samples]
    assert SAMPLES // 2 <= len(times) <= SAMPLES
    assert times[0] == 0
    gaps = [after - before for before, after in pairwise(times)]
    assert max(gaps) <= 3 * min(gaps)
    assert left.seconds() == pytest.approx(10_001)


def test_the_same_moment_twice_counts_once() -> None:
    once = fed([(1.0, 0.0), (2.0, 6.0), (3.0, 7.0), (4.0, 8.0)], 10)
    twice = fed([(1.0, 0.0), (1.0, 5.0), (2.0, 6.0), (3.0, 7.0), (4.0, 8.0)], 10)
    assert twice.seconds() == once.seconds()
