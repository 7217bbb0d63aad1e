"""The supervisor's decisions, step by step, with processes that are only pretended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from kencore.jobs import ahead, folders
from kencore.jobs.settings import WorkerSettings
from kencore.jobs.store import changes, queries
from kencore.jobs.store.database import connected
from kencore.jobs.worker import scheduler
from kencore.jobs.worker.child import UNTOLD
from kencore.jobs.worker.launch import Attempt
from kencore.jobs.worker.scheduler import Scheduler

SETTINGS = WorkerSettings(workers=2, idle_seconds=1, preload=(), gpus=2, results_kept=10)


class Pretended:
    """A launcher that notes what it is asked to do."""

    def __init__(self) -> None:
        self.started: list[Attempt] = []
        self.ended: list[tuple[str, bool]] = []
        self.over: dict[tuple[str, int], int | None] = {}
        self.watched: set[tuple[str, int]] = set()
        self.alive: set[str] = set()

    def start(self, attempt: Attempt) -> None:
        self.started.append(attempt)
        self.watched.add((attempt.job, attempt.number))

    def exits(self) -> dict[tuple[str, int], int | None]:
        over, self.over = self.over, {}
        self.watched -= set(over)
        return over

    def watches(self, job: str, number: int) -> bool:
        return (job, number) in self.watched

    def is_alive(self, handle: str) -> bool:
        return handle in self.alive

    def end(self, handle: str, *, kill: bool) -> None:
        self.ended.append((handle, kill))

    def wait(self, seconds: float) -> None: ...

    def close(self) -> None: ...


class Stage:
    """A store, a scheduler and a clock to turn."""

    def __init__(self, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connection, self.launcher, self.now = connection, Pretended(), 1000.0
        self.scheduler = Scheduler(connection, self.launcher, SETTINGS)
        monkeypatch.setattr(scheduler.time, "monotonic", lambda: self.now)

    def add(self, user: str = "a", gpus: float = 0.0, kind: str = "selftest") -> str:
        return changes.add(self.connection, kind=kind, params="{}", user=user, gpus=gpus, request_key=None, folder="/")

    def step(self, later: float = 0.0) -> list[str]:
        """One step; the jobs it started."""
        self.now += later
        before = len(self.launcher.started)
        self.scheduler.step()
        return [attempt.job for attempt in self.launcher.started[before:]]

    def live(self, job: str, attempt: int = 1) -> str:
        """Let a process take the attempt."""
        handle = f"{job}/{attempt}"
        self.launcher.alive.add(handle)
        assert changes.attach(self.connection, job, attempt, handle) is not None
        return handle

    def die(self, job: str, code: int | None, attempt: int = 1) -> None:
        self.launcher.alive.discard(f"{job}/{attempt}")
        self.launcher.over[job, attempt] = code

    def end(self, job: str) -> None:
        self.live(job)
        changes.settle(self.connection, job, 1, "succeeded")
        self.die(job, 0)

    def state(self, job: str) -> tuple[str, int]:
        row = queries.find(self.connection, job)
        return row["state"], row["attempt"]

    def error(self, job: str) -> dict[str, str]:
        error = queries.to_status(queries.find(self.connection, job)).error
        assert error is not None
        return error


@pytest.fixture
def stage(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with connected(make=True) as connection:
        yield Stage(connection, monkeypatch)


def test_users_take_turns(stage: Stage) -> None:
    many = [stage.add("busy") for _ in range(4)]
    few = [stage.add("quiet") for _ in range(2)]
    assert stage.step() == [many[0], few[0]]
    stage.end(many[0])
    assert stage.step() == [many[1]]
    stage.end(few[0])
    assert stage.step() == [few[1]]
    stage.end(many[1])
    stage.end(few[1])
    assert stage.step() == [many[2], many[3]]
    assert stage.step() == []


def test_a_question_never_waits_behind_work(stage: Stage) -> None:
    work = [stage.add() for _ in range(3)]
    asked = [stage.add(kind="explain"), stage.add(kind="inspect")]
    assert stage.step() == [*work[:2], asked[0]]
    stage.end(asked[0])
    assert stage.step() == [asked[1]]
    stage.end(work[0])
    assert stage.step() == [work[2]]


def test_further_questions_take_free_workers_and_give_way_to_nobody(stage: Stage) -> None:
    asked = [stage.add(kind="explain") for _ in range(4)]
    work = stage.add()
    assert stage.step() == asked[:3]  # the slot of questions and both workers
    stage.end(asked[0])
    assert stage.step() == [asked[3]]
    stage.end(asked[1])
    assert stage.step() == [work]


def test_a_question_that_wants_a_card_waits_for_it(stage: Stage) -> None:
    work = stage.add(gpus=2.0)
    card, none = stage.add(kind="explain", gpus=1.0), stage.add(kind="explain")
    assert stage.step() == [work, none]
    stage.end(work)
    assert stage.step() == [card]


def test_what_a_job_waits_for(stage: Stage) -> None:
    work = [stage.add() for _ in range(4)]
    asked = [stage.add(kind="explain") for _ in range(2)]
    stage.step()
    assert [job.id for job in ahead(work[3])] == [*work[:2], asked[0], work[2]]
    assert [job.id for job in ahead(asked[1])] == [asked[0]]
    assert ahead(work[0]) == []


def test_a_card_is_reserved_and_others_pass_who_waits_for_one(stage: Stage) -> None:
    whole, two, tenth, none = (stage.add(gpus=gpus) for gpus in (1.0, 2.0, 0.1, 0.0))
    assert stage.step() == [whole, none]
    stage.end(none)
    assert stage.step() == []
    stage.end(whole)
    assert stage.step() == [two]
    stage.end(two)
    assert stage.step() == [tenth]


def test_ten_tenths_of_a_card_are_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(make=True) as connection:
        stage = Stage(connection, monkeypatch)
        stage.scheduler = Scheduler(
            connection, stage.launcher, WorkerSettings(workers=20, idle_seconds=1, preload=(), gpus=1, results_kept=10)
        )
        for _ in range(11):
            stage.add(gpus=0.1)
        assert len(stage.step()) == 10


def test_a_lone_job_gets_all_cores_and_its_neighbour_half(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "usable_threads", lambda: 8)
    stage.add()
    stage.add(kind="prune")
    stage.step()
    assert [(a.threads, a.heavy, a.number) for a in stage.launcher.started] == [(8, False, 1), (4, True, 1)]


def test_cancelling_grows_harder(stage: Stage) -> None:
    job = stage.add()
    stage.step()
    handle = stage.live(job)
    changes.ask_cancel(stage.connection, job)
    stage.step()
    assert stage.launcher.ended == []  # it may end by itself
    stage.step(0.5)
    stage.step(0.01)
    assert stage.launcher.ended == [(handle, False)]
    stage.step(0.4)
    assert stage.launcher.ended == [(handle, False), (handle, True)]
    assert stage.now - 1000.0 < 1.5
    stage.die(job, -9)
    stage.step()
    assert stage.state(job) == ("cancelled", 1)


def test_a_job_cancelled_before_its_process_is_there_is_over(stage: Stage) -> None:
    job = stage.add()
    stage.step()
    changes.ask_cancel(stage.connection, job)
    stage.step()
    assert stage.state(job) == ("cancelled", 1)
    assert changes.attach(stage.connection, job, 1, "late") is None


@pytest.mark.parametrize("code", [-9, -11, None])
def test_a_death_is_forgiven_once(stage: Stage, code: int | None) -> None:
    job = stage.add()
    stage.step()
    handle = stage.live(job)
    folders.make_part(folders.part_folder(job, "selftest", 1))
    stage.die(job, code)
    assert stage.step() == [job]
    assert stage.launcher.ended == [(handle, True)]  # what it had started ends too
    assert not folders.part_folder(job, "selftest", 1).exists()
    assert stage.state(job) == ("running", 2)
    stage.live(job, 2)
    stage.die(job, code, 2)
    stage.step()
    assert stage.state(job) == ("failed", 2)
    assert stage.error(job)["type"] == "WorkerDiedError"


@pytest.mark.parametrize(("code", "kind"), [(1, "WorkerDiedError"), (UNTOLD, "StoreNotWritableError")])
def test_an_exit_by_itself_is_not_tried_again(stage: Stage, code: int, kind: str) -> None:
    job = stage.add()
    stage.step()
    stage.live(job)
    stage.die(job, code)
    stage.step()
    assert stage.state(job) == ("failed", 1)
    assert stage.error(job)["type"] == kind


def test_a_death_after_the_result_is_in_place_is_a_success(stage: Stage) -> None:
    job = stage.add()
    stage.step()
    stage.live(job)
    folders.result_folder(job, "selftest").mkdir(parents=True)
    stage.die(job, -9)
    stage.step()
    assert stage.state(job) == ("succeeded", 1)


def test_what_a_former_supervisor_left_is_taken_over(stage: Stage) -> None:
    living, dead, unborn = stage.add("a"), stage.add("b"), stage.add("c")
    for job in (living, dead, unborn):
        changes.claim(stage.connection, job)
    stage.live(living)
    changes.attach(stage.connection, dead, 1, "gone")
    stage.scheduler.take_over()
    assert stage.state(unborn) == ("queued", 1)
    assert stage.step() == [dead]  # there is room for two
    assert stage.state(living) == ("running", 1)
    assert stage.state(dead) == ("running", 2)
    assert stage.state(unborn) == ("queued", 1)
    assert changes.attach(stage.connection, unborn, 1, "late") is None


def test_an_attempt_that_no_process_takes_is_given_up(stage: Stage) -> None:
    job = stage.add()
    stage.step()
    stage.launcher.watched.clear()  # the process that was to fork it died
    stage.step()
    stage.step(10)
    assert stage.state(job) == ("running", 1)
    assert stage.step(10) == [job]
    assert stage.state(job) == ("running", 2)


def test_the_second_process_of_an_attempt_leaves_the_first_alone(stage: Stage) -> None:
    job = stage.add()
    stage.step()
    stage.live(job)
    stage.launcher.over[job, 1] = 0  # the one that came too late
    stage.step()
    assert stage.state(job) == ("running", 1)
    assert stage.launcher.ended == []


def test_who_does_not_leave_after_its_end_is_told_is_made_to(stage: Stage) -> None:
    job = stage.add()
    stage.step()
    handle = stage.live(job)
    stage.step()
    changes.settle(stage.connection, job, 1, "succeeded")
    stage.step()
    assert stage.launcher.ended == []
    stage.step(3)
    assert stage.launcher.ended == [(handle, True)]
    stage.step(3)
    assert stage.launcher.ended == [(handle, True)]


def test_a_stale_attempt_writes_nothing(stage: Stage) -> None:
    job = stage.add()
    stage.step()
    stage.live(job)
    stage.die(job, -9)
    stage.step()
    stage.live(job, 2)
    progress = {"done": 9.0, "total": 9.0, "message": "stale", "seconds_left": None}
    assert not changes.report(stage.connection, job, 1, **progress)  # type: ignore[arg-type]
    assert not changes.settle(stage.connection, job, 1, "succeeded")
    assert queries.find(stage.connection, job)["message"] != "stale"
    assert stage.state(job) == ("running", 2)
