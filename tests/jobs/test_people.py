"""Jobs of several people: each sees and cancels their own, and has as much as a server lets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kencore import jobs
from kencore.errors import JobNotFoundError, LimitError, NotAllowedError, SpecError
from kencore.jobs.limits import Limits
from kencore.jobs.store import changes
from kencore.jobs.store.database import connected
from kencore.jobs.worker import child, far, spawn
from kencore.system import people
from tests.support.people import looking


@pytest.fixture
def quiet(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose jobs nobody starts."""
    monkeypatch.setattr(spawn, "must_start", lambda _connection: False)
    monkeypatch.setattr(spawn, "has_supervisor", lambda _handle: True)
    return home


def submit(name: str, **options: Any) -> str:
    with looking(name):
        return jobs.submit("selftest", {}, **options)


def started(job: str, seconds: float | None = None) -> None:
    """The job runs, or ran for so long."""
    with connected() as connection:
        attempt = changes.claim(connection, job)
        assert attempt is not None
        if seconds is not None:
            changes.settle(connection, job, attempt, "succeeded")
            connection.execute("UPDATE jobs SET started = finished - ? WHERE id = ?", (seconds, job))


CALLS: dict[str, Callable[[str], Any]] = {
    "status": jobs.status,
    "cancel": jobs.cancel,
    "result": jobs.result,
    "answer": jobs.answer,
    "log": jobs.log,
    "events": jobs.events,
    "ahead": jobs.ahead,
}


@pytest.mark.parametrize("call", CALLS)
def test_another_ones_job_is_not_there(quiet: Path, call: str) -> None:
    job = submit("ben")
    with looking("ann") as told:
        with pytest.raises(JobNotFoundError) as hidden:
            CALLS[call](job)
        with pytest.raises(JobNotFoundError) as missing:
            CALLS[call]("20260101-000000-aaaaaa")
    assert told == []
    assert hidden.value.reason == missing.value.reason
    assert jobs.status(job).state == "queued"


def test_each_lists_finds_and_cancels_their_own(quiet: Path) -> None:
    made = {name: submit(name, request_key="k") for name in ("ann", "ben")}
    assert made["ann"] != made["ben"]
    assert len(jobs.list_jobs()) == 2
    for name, job in made.items():
        with looking(name):
            assert [found.id for found in jobs.list_jobs()] == [job]
            assert [found.id for found in jobs.list_jobs(user="ben")] == [job]
            assert jobs.find("k") == job
    with looking("ann") as told:
        jobs.cancel(made["ann"])
    assert told == [("cancel", {"job": made["ann"]})]
    assert {job.user: job.state for job in jobs.list_jobs()} == {"ann": "cancelled", "ben": "queued"}


def test_of_others_before_me_only_the_kind_is_told(quiet: Path) -> None:
    with looking("ben"):
        jobs.submit("export", {"run": "bens-secret"})
    mine = submit("ann")
    with looking("ann"):
        before = jobs.ahead(mine)
    assert [job.kind for job in before] == ["export"]
    assert "ben" not in str(before)


def test_nobody_submits_nothing_and_nobody_for_another(quiet: Path) -> None:
    for name, options in ((people.NOBODY, {}), ("local", {}), ("ann", {"user": "ben"})):
        with pytest.raises(NotAllowedError):
            submit(name, **options)
    assert jobs.list_jobs() == []


def test_limits_per_person(quiet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_EACH_WAITING", "2")
    monkeypatch.setenv("KENVIZ_EACH_MINUTES", "10")
    first = submit("ann", request_key="k")
    submit("ann")
    with pytest.raises(LimitError, match="2 jobs that wait"):
        submit("ann")
    assert submit("ann", request_key="k") == first  # a second click is no further job
    submit("ben")
    started(first, seconds=599)
    submit("ann")
    with looking("ann"):
        for job in jobs.list_jobs():
            jobs.cancel(job.id)
    started(submit("ann"), seconds=2)
    with pytest.raises(LimitError, match="10 minutes of work"):
        submit("ann")
    jobs.submit("selftest", {})  # on one's own machine there is no limit


def test_bytes_of_runs_are_a_limit(quiet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_EACH_GIGABYTES", "0.000001")
    submit("ann")
    folder = quiet / "runs" / "anns"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps({"owner": "ann", "version": 1}))
    (folder / "masks.safetensors").write_bytes(bytes(2000))
    with pytest.raises(LimitError, match="less than 1e-06 GB"):
        submit("ann")
    submit("ben")


def test_limits_are_checked() -> None:
    assert Limits.from_environment({}) == Limits()
    for name, text in (("WAITING", "x"), ("RUNNING", "0"), ("MINUTES", "-1"), ("GIGABYTES", "nan")):
        with pytest.raises(SpecError, match=f"KENVIZ_EACH_{name}"):
            Limits.from_environment({f"KENVIZ_EACH_{name}": text})


def test_no_more_of_one_person_run_at_once(quiet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kencore.jobs.settings import WorkerSettings
    from kencore.jobs.worker.scheduler import Scheduler

    class Launcher:
        def __init__(self) -> None:
            self.begun: list[str] = []

        def start(self, attempt: Any) -> None:
            self.begun.append(attempt.job)

        def watches(self, _job: str, _number: int) -> bool:
            return True

        def exits(self) -> dict[tuple[str, int], int | None]:
            return {}

    monkeypatch.setenv("KENVIZ_EACH_RUNNING", "1")
    made = [submit(name) for name in ("ann", "ann", "ben", "ann")]
    mine = [jobs.submit("selftest", {}) for _ in range(2)]
    settings = WorkerSettings(workers=8, idle_seconds=1, preload=(), gpus=0, results_kept=9)
    launcher = Launcher()
    with connected() as connection:
        Scheduler(connection, launcher, settings).step()  # type: ignore[arg-type]
    assert sorted(launcher.begun) == sorted([made[0], made[2], *mine])


def test_a_worker_sees_what_its_person_sees(quiet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr(child, "_attempt", lambda *_: seen.append(people.viewer()) or 0)
    monkeypatch.setattr(child, "be_modest", lambda: None)
    monkeypatch.setattr(child.os, "chdir", lambda _folder: None)
    for job in (submit("ann"), jobs.submit("selftest", {})):
        with connected() as connection:
            attempt = changes.claim(connection, job)
        assert attempt is not None
        assert child.main(job, attempt, 1) == 0
    assert seen == ["ann", None]


def test_a_worker_of_a_cluster_sees_what_its_person_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    monkeypatch.setattr(far, "_run", lambda *_: (seen.append(people.viewer()), ("succeeded", None))[1])
    for name in ("be_modest", "end_own_family"):
        monkeypatch.setattr(far, name, lambda: None)
    monkeypatch.setattr(far, "_leave_with", lambda _parent: None)
    monkeypatch.setattr(far.os, "chdir", lambda _folder: None)
    for name in ("ann", people.LOCAL):
        asked = {"kind": "selftest", "folder": "/", "user": name, "job": "j", "attempt": 1, "shared": "/", "params": {}}
        far.Piece(tmp_path, 0).asked.write_text(json.dumps(asked))
        assert far.main(str(tmp_path), 0, 0, 1) == 0
    assert seen == ["ann", None]
