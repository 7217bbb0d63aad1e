"""A job from its submission to its result."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kencore import jobs
from kencore.errors import DeviceNotFoundError, JobKindError, JobNotFoundError, RunNotFoundError, SpecError
from kencore.jobs.worker.interpreter import environment

from .helpers import finished, half_written, run, until, worker


def test_a_job_leaves_its_result_and_its_story(store: Path) -> None:
    done = run({"steps": 4, "write": {"data.bin": 100_000}})
    assert (done.state, done.error, done.attempt, done.done, done.total) == ("succeeded", None, 1, 4, 4)
    assert done.share == 1.0
    assert done.created <= done.started <= done.finished  # type: ignore[operator]
    folder = jobs.result(done.id)
    assert folder == store / "results" / done.id
    assert json.loads((folder / "result.json").read_text())["steps"] == 4
    assert (folder / "data.bin").stat().st_size == 100_000
    assert [e.kind for e in jobs.events(done.id)] == ["submitted", "started", "process", "succeeded"]
    assert half_written(store) == []
    assert folder.stat().st_mode & 0o777 == 0o700


def test_events_come_in_order_and_after_the_last_seen(store: Path) -> None:
    done = run({"grandchild": True})
    found = jobs.events(done.id)
    numbers = [e.seq for e in found]
    assert numbers == sorted(set(numbers))
    assert [e.attempt for e in found] == [0, 1, 1, 1, 1]
    assert jobs.events(done.id, after=numbers[1]) == found[2:]
    assert jobs.events(done.id, after=numbers[-1]) == []
    assert jobs.events(done.id, limit=2) == found[:2]


def test_progress_is_seen_while_the_job_runs(store: Path) -> None:
    job = jobs.submit("selftest", {"steps": 200, "sleep": 0.05})
    seen = until(lambda: (s := jobs.status(job)).seconds_left is not None and s, "an estimate")
    assert (seen.state, seen.total) == ("running", 200)
    assert 0 < seen.done < 200
    assert 0 < seen.share < 1
    assert seen.message.startswith("Step ")
    assert seen.seconds_left > 0
    jobs.cancel(job)
    ended = finished(job)
    assert (ended.state, ended.seconds_left) == ("cancelled", None)


def test_another_process_sees_the_job(store: Path) -> None:
    done = run({})
    script = f"from kencore import jobs; print(jobs.status({done.id!r}).state)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment())
    assert told.stdout.strip() == "succeeded"
    assert done.id in [job.id for job in jobs.list_jobs(kind="selftest")]


def test_jobs_are_listed_newest_first_by_user(store: Path) -> None:
    first, second = (jobs.submit("selftest", {}, user="lister") for _ in range(2))
    finished(first)
    finished(second)
    assert [job.id for job in jobs.list_jobs(user="lister")] == [second, first]
    assert [job.id for job in jobs.list_jobs(user="lister", limit=1)] == [second]
    assert jobs.list_jobs(user="nobody") == []
    assert jobs.list_jobs(kind="prune") == []


def test_a_mistake_comes_back_with_all_its_parts(store: Path) -> None:
    failed = run({"error": "a bad setting", "write": {"half": 1000}})
    assert failed.state == "failed"
    assert failed.error is not None
    wanted = SpecError("selftest", got="a bad setting", wanted="no error", remedy="Leave it out.").to_json()
    assert failed.error == wanted
    assert half_written(store) == []
    assert not (store / "results" / failed.id).exists()
    with pytest.raises(RunNotFoundError, match="a job that is failed"):
        jobs.result(failed.id)


def test_a_fault_is_told_in_one_line_and_logged_in_full(store: Path) -> None:
    failed = run({"bug": "boom\nsecond line"})
    assert failed.error is not None
    assert (failed.error["type"], failed.error["message"]) == ("ValueError", "boom")
    assert set(failed.error) == {"type", "message", "subject", "got", "wanted", "remedy"}
    assert "Traceback" in jobs.log(failed.id)
    assert "Traceback" not in json.dumps(failed.error)
    assert failed.attempt == 1


def test_a_process_that_leaves_without_a_word_is_not_tried_again(store: Path) -> None:
    failed = run({"exit": 3})
    assert (failed.state, failed.attempt) == ("failed", 1)
    assert failed.error is not None
    assert failed.error["type"] == "WorkerDiedError"
    assert "exit code 3" in failed.error["message"]


def test_what_a_job_prints_is_in_its_log(store: Path) -> None:
    done = run({"print_bytes": 10_000})
    assert jobs.log(done.id) == ("x" * 99 + "\n") * 100
    assert jobs.log(done.id, limit=100) == "x" * 99 + "\n"
    assert jobs.log(run({}).id) == ""


def test_the_same_request_twice_is_one_job(store: Path) -> None:
    assert jobs.find("click") is None
    first = jobs.submit("selftest", {}, request_key="click")
    assert (jobs.find("click"), jobs.find("click", user="another")) == (first, None)
    assert jobs.submit("selftest", {}, request_key="click") == first
    assert jobs.submit("selftest", {}, request_key="click", user="another") != first
    finished(first)
    assert jobs.submit("selftest", {}, request_key="click") == first


def test_a_request_that_failed_may_be_made_again(store: Path) -> None:
    failed = run({"bug": "once"}, request_key="again")
    assert jobs.submit("selftest", {}, request_key="again") != failed.id


def test_a_request_whose_result_was_removed_may_be_made_again(store: Path) -> None:
    done = run({}, request_key="removed")
    for file in jobs.result(done.id).iterdir():
        file.unlink()
    jobs.result(done.id).rmdir()
    with pytest.raises(RunNotFoundError, match="removed"):
        jobs.result(done.id)
    assert jobs.submit("selftest", {}, request_key="removed") != done.id


def _submit_many(_: int) -> list[str]:
    return [jobs.submit("selftest", {}, request_key="impatient") for _ in range(10)]


def test_thirty_submissions_from_several_processes_are_one_job(own: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        given = [job for many in pool.map(_submit_many, range(3)) for job in many]
    assert len(given) == 30
    assert len(set(given)) == 1
    assert [job.id for job in jobs.list_jobs()] == [given[0]]
    assert finished(given[0]).attempt == 1


def test_a_job_runs_in_the_folder_it_was_submitted_from(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    job = jobs.submit("selftest", {"steps": 1000, "sleep": 0.05})
    assert Path(worker(job).cwd()) == tmp_path
    jobs.cancel(job)
    finished(job)


@pytest.mark.parametrize(
    ("kind", "params", "error"),
    [
        ("nonsense", {}, JobKindError),
        ("selftest", {"stepz": 3}, JobKindError),
        ("selftest", {"bug": object()}, JobKindError),
        ("selftest", {"sleep": float("nan")}, JobKindError),
        ("selftest", {"bug": "x" * 2_000_000}, JobKindError),
        ("inspect", {}, SpecError),
        ("inspect", {"model": 3}, SpecError),
        ("evaluate", {"model": "demo"}, SpecError),
        ("evaluate", {"model": "demo", "examples": "demo", "save": 1}, SpecError),
        ("prune", {"model": "demo", "keep": 1.5}, SpecError),
        ("prune", {"model": "demo", "keep": 0.5, "kep": 1}, SpecError),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    home: Path, kind: str, params: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        jobs.submit(kind, params)
    assert list(home.iterdir()) == []


def test_more_cards_than_there_are_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_GPUS", "1")
    with pytest.raises(DeviceNotFoundError, match="1 CUDA cards"):
        jobs.submit("selftest", {}, gpus=2)
    with pytest.raises(JobKindError):
        jobs.submit("selftest", {}, gpus=-1)


@pytest.mark.parametrize("call", [jobs.status, jobs.events, jobs.cancel, jobs.result, jobs.log])
def test_an_unknown_job_is_said_to_be_unknown(store: Path, home: Path, call: Any) -> None:
    run({})
    for unknown in ("20200101-000000-abcdef", "../secret", ""):
        with pytest.raises(JobNotFoundError):
            call(unknown)


def test_without_a_store_nothing_is_made_by_looking(home: Path) -> None:
    assert jobs.list_jobs() == []
    jobs.shutdown()
    with pytest.raises(JobNotFoundError):
        jobs.status("20200101-000000-abcdef")
    assert list(home.iterdir()) == []
