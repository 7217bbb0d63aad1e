"""Processes killed with SIGKILL: the worker, the supervisor, and the one that has torch loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from kencore import jobs
from kencore.jobs.worker.interpreter import environment

from .helpers import event, finished, gone, half_written, processes_of, run, supervisor, until, worker

SLOW = {"steps": 60, "sleep": 0.05}


@pytest.mark.parametrize("preload", ["0", "selftest_job"])
def test_a_killed_worker_is_tried_again_once(own: Path, monkeypatch: pytest.MonkeyPatch, preload: str) -> None:
    monkeypatch.setenv("KENVIZ_PRELOAD", preload)
    done = run({"die": 1, "grandchild": True, "write": {"half": 1000}})
    assert (done.state, done.attempt, done.error) == ("succeeded", 2, None)
    assert [e.kind for e in jobs.events(done.id)] == [
        "submitted",
        "started",
        "process",
        "grandchild",
        "restarted",
        "started",
        "process",
        "grandchild",
        "succeeded",
    ]
    pid = event(done.id, "grandchild")["pid"]
    assert not psutil.pid_exists(pid) or gone(psutil.Process(pid))
    assert half_written(own) == []


@pytest.mark.parametrize("preload", ["0", "selftest_job"])
def test_a_worker_killed_twice_is_given_up(own: Path, monkeypatch: pytest.MonkeyPatch, preload: str) -> None:
    monkeypatch.setenv("KENVIZ_PRELOAD", preload)
    failed = run({"die": 5, "write": {"half": 1000}})
    assert (failed.state, failed.attempt) == ("failed", 2)
    assert failed.error is not None
    assert failed.error["type"] == "WorkerDiedError"
    assert failed.error["message"].startswith("The worker was killed (signal 9), perhaps out of memory")
    assert half_written(own) == []
    assert list((own / "results").iterdir()) == []


def test_a_job_goes_on_when_its_supervisor_is_killed(own: Path) -> None:
    job = jobs.submit("selftest", SLOW)
    process, first = worker(job), supervisor()
    first.kill()
    assert gone(first)
    assert process.is_running()
    done = finished(job)  # looking is what brings the next supervisor
    assert (done.state, done.attempt) == ("succeeded", 1)
    assert run({}).state == "succeeded"
    assert supervisor() != first


def test_an_adopted_job_can_be_cancelled(own: Path) -> None:
    job = jobs.submit("selftest", {"long_call": True, "grandchild": True})
    event(job, "long call")
    processes = [worker(job), psutil.Process(event(job, "grandchild")["pid"])]
    supervisor().kill()
    jobs.cancel(job)
    assert finished(job).state == "cancelled"
    assert gone(*processes)


def test_an_adopted_job_that_is_killed_is_tried_again(own: Path) -> None:
    job = jobs.submit("selftest", SLOW)
    process, first = worker(job), supervisor()
    first.kill()
    assert gone(first)
    process.kill()
    done = finished(job)
    assert (done.state, done.attempt) == ("succeeded", 2)


def test_a_job_goes_on_when_who_submitted_it_is_gone(own: Path) -> None:
    script = f"from kencore import jobs; print(jobs.submit('selftest', {SLOW}))"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment())
    assert finished(told.stdout.strip()).state == "succeeded"


def test_the_death_of_the_loaded_process_is_survived(own: Path) -> None:
    assert run({}).state == "succeeded"
    zygote = until(lambda: processes_of(own, "kencore.jobs.worker.zygote"), "the loaded process")[0]
    until(lambda: _parent(run({}).id) == zygote.pid, "a forked job")
    job = jobs.submit("selftest", SLOW)
    assert _parent(job) == zygote.pid
    os.kill(zygote.pid, signal.SIGKILL)
    done = finished(job)
    assert (done.state, done.attempt) == ("succeeded", 1)
    assert run({"die": 1}).attempt == 2


def _parent(job: str) -> int:
    return int(event(job, "process")["parent"])


def test_an_idle_supervisor_leaves_and_the_next_job_brings_another(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_IDLE_SECONDS", "0.2")
    assert run({}).state == "succeeded"
    until(lambda: not processes_of(own, "kencore.jobs.worker.supervisor"), "the supervisor to leave")
    assert not processes_of(own, "kencore.jobs.worker.zygote")
    assert run({}).state == "succeeded"


def test_there_is_never_more_than_one_supervisor(own: Path) -> None:
    running = [jobs.submit("selftest", SLOW) for _ in range(4)]
    for _ in range(3):
        jobs.warm()
    supervisor()
    extra = [
        subprocess.run([sys.executable, "-m", "kencore.jobs.worker.supervisor"], check=True, env=environment())
        for _ in range(2)
    ]
    assert [process.returncode for process in extra] == [0, 0]
    assert len(processes_of(own, "kencore.jobs.worker.supervisor")) == 1
    for job in running:
        jobs.cancel(job)
