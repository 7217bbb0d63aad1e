"""How passes are taken in turns and timed: by a clock of the test's own."""

from __future__ import annotations

import pytest
import torch

from kencore.quality import cost_time
from kencore.quality.cost_time import LEAST, WARM_UP, forward, interleaved, longest, passes, peak_memory, quartiles


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved on by hand."""
    now = [0.0]
    monkeypatch.setattr(cost_time.time, "perf_counter", lambda: now[0])
    return now


def test_two_states_take_turns_there_and_back(clock: list[float]) -> None:
    seen: list[str] = []
    state = [""]

    def run() -> None:
        clock[0] += 0.001 if state[0] == "dense" else 0.002
        seen.append(state[0])

    def become(name: str) -> None:
        state[0] = name

    turns = {name: lambda name=name: become(name) for name in ("dense", "pruned")}
    found = interleaved(run, turns, repeats=6)
    turn = WARM_UP + 3
    assert seen == ["dense"] * turn + ["pruned"] * 2 * turn + ["dense"] * turn
    assert found["dense"] == pytest.approx([0.001] * 6)
    assert found["pruned"] == pytest.approx([0.002] * 6)


def test_a_slow_model_is_run_less_often(clock: list[float]) -> None:
    def run(seconds: float) -> None:
        clock[0] += seconds

    assert len(passes(lambda: run(0.01), 10, 1.0)) == 10
    assert len(passes(lambda: run(0.3), 10, 1.0)) == 4
    before = clock[0]
    assert len(passes(lambda: run(60), 10, 1.0)) == LEAST
    assert clock[0] - before == 60 * (LEAST + 1)  # one to warm up is enough


@pytest.mark.parametrize(
    ("a_token", "most", "found"),
    [(0.001, 512, 128), (0.0001, 512, 512), (0.0001, 500, 500), (1.0, 512, 16), (1.0, 3, 3), (0.2 / 512, 512, 512)],
)
def test_a_pass_is_as_long_as_the_time_allows(a_token: float, most: int, found: int) -> None:
    asked: list[int] = []

    def timed(size: int) -> float:
        asked.append(size)
        return size * a_token * (100 if len(asked) == 1 else 1)  # the very first one is slow

    assert longest(timed, most, 0.2, first=16) == (found, pytest.approx(found * a_token))
    assert sum(asked) <= 4 * found


def test_quartiles() -> None:
    assert quartiles([3.0, 1.0, 2.0, 5.0, 4.0]) == {"median": 3.0, "low": 2.0, "high": 4.0, "repeats": 5}


def test_a_pass_is_one_call_without_gradients() -> None:
    seen: list[torch.Tensor] = []

    def model(*, x: torch.Tensor) -> None:
        seen.append(x * torch.ones(2, requires_grad=True))

    forward(model, {"x": torch.ones(2)}, "cpu")()
    assert len(seen) == 1
    assert not seen[0].requires_grad


def test_memory_is_told_by_cuda_alone() -> None:
    assert peak_memory(lambda: pytest.fail("not run"), "cpu") is None
    assert peak_memory(lambda: pytest.fail("not run"), "mps") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_peak_memory_on_cuda() -> None:
    held = torch.zeros(1 << 20, device="cuda")  # 4 MiB

    def run() -> None:
        (held + 1).sum()

    assert 8 << 20 <= (peak_memory(run, "cuda:0") or 0) < 12 << 20
