"""Cancelling: at once when queued, and with everything it started when it runs."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from kencore import jobs

from .helpers import event, finished, gone, half_written, run, until, worker

SLOW = {"steps": 10_000, "sleep": 0.05}


def test_a_job_that_tells_its_progress_ends_by_itself(store: Path) -> None:
    job = jobs.submit("selftest", {**SLOW, "write": {"half": 100_000}})
    process = worker(job)
    jobs.cancel(job)
    assert finished(job).state == "cancelled"
    assert gone(process)
    assert [e.kind for e in jobs.events(job)][-2:] == ["cancelling", "cancelled"]
    assert half_written(store) == []


@pytest.mark.parametrize("preload", ["0", "selftest_job"])
def test_one_long_c_call_is_ended_with_its_grandchild(own: Path, monkeypatch: pytest.MonkeyPatch, preload: str) -> None:
    monkeypatch.setenv("KENVIZ_PRELOAD", preload)
    job = jobs.submit(
        "selftest", {"long_call": True, "grandchild": True, "memory_bytes": 2**26, "write": {"half": 2**20}}
    )
    event(job, "long call")
    processes = [worker(job), psutil.Process(event(job, "grandchild")["pid"])]
    assert {psutil.Process(p.pid).is_running() for p in processes} == {True}
    jobs.cancel(job)
    assert finished(job).state == "cancelled"
    assert gone(*processes)
    assert half_written(own) == []
    assert list((own / "results").iterdir()) == []


def test_a_queued_job_is_cancelled_at_once(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_WORKERS", "1")
    running, queued = jobs.submit("selftest", SLOW), jobs.submit("selftest", {})
    worker(running)
    assert jobs.status(queued).state == "queued"
    jobs.cancel(queued)
    told = jobs.status(queued)
    assert (told.state, told.attempt, told.started) == ("cancelled", 0, None)
    assert told.finished is not None
    jobs.cancel(running)
    assert finished(running).state == "cancelled"


def test_cancelling_a_finished_job_is_harmless(store: Path) -> None:
    done = run({})
    jobs.cancel(done.id)
    jobs.cancel(done.id)
    assert jobs.status(done.id) == done
    assert jobs.result(done.id).is_dir()


def test_cancelling_twice_is_as_cancelling_once(store: Path) -> None:
    job = jobs.submit("selftest", SLOW)
    worker(job)
    jobs.cancel(job)
    jobs.cancel(job)
    assert finished(job).state == "cancelled"
    assert [e.kind for e in jobs.events(job)].count("cancelling") == 1


def test_a_cancelled_job_says_so_until_it_has_ended(store: Path) -> None:
    job = jobs.submit("selftest", {"long_call": True})
    event(job, "long call")
    jobs.cancel(job)
    seen = jobs.status(job)
    assert seen.state == "cancelled" or (seen.cancelling and seen.message == "Cancelling")
    assert not finished(job).cancelling


def test_a_grandchild_does_not_outlive_a_job_that_succeeded(store: Path) -> None:
    done = run({"grandchild": True})
    pid = event(done.id, "grandchild")["pid"]
    assert done.state == "succeeded"
    until(lambda: not psutil.pid_exists(pid) or gone(psutil.Process(pid)), "its end")


def test_shutdown_cancels_what_runs(own: Path) -> None:
    job = jobs.submit("selftest", SLOW)
    process = worker(job)
    jobs.shutdown()
    assert gone(process)
    assert finished(job).state == "cancelled"
