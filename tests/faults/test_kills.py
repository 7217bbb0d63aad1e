"""The short form of the kill harness; `python -m tests.faults kills --kills 200` is the long one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kencore import jobs
from kencore.jobs.kinds import added
from kencore.jobs.store.database import connected
from kencore.jobs.worker import spawn
from tests.faults.kills import rounds
from tests.jobs.conftest import PLUGIN, settle_in


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    settle_in(monkeypatch, home)
    monkeypatch.syspath_prepend(PLUGIN)
    monkeypatch.setenv("PYTHONPATH", str(PLUGIN), prepend=os.pathsep)
    added.cache_clear()
    yield home
    jobs.shutdown()
    added.cache_clear()


def test_whoever_is_killed_nothing_is_lost(own: Path) -> None:
    params = {"steps": 20, "sleep": 0.03, "write": {"half": 1000}, "grandchild": True}
    told = rounds({"selftest": params}, 4, 7, longest=0.8, say=lambda _: None)
    assert told.wrong == []
    assert sum(told.kills.values()) >= 4


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_loses_no_job(own: Path, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    """A supervisor is started once, whatever the clock of who looks says of the one that was to start."""
    now = time.time
    with connected(make=True) as connection:
        assert spawn.must_start(connection)
        assert not spawn.must_start(connection)
        monkeypatch.setattr(time, "time", lambda: now() + jump)
        assert spawn.must_start(connection)  # it was long ago, or never
        assert not spawn.must_start(connection)
    job = jobs.submit("selftest", {"steps": 1})
    assert jobs.status(job).seconds_left is None
