"""Jobs that several processes of this machine share: what comes out is what one process makes, whatever dies."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kencore import PruneSpec, jobs, prune
from kencore.jobs import folders
from kencore.jobs.context import Context
from kencore.jobs.kinds import find_kind
from kencore.jobs.pieces import Share
from kencore.jobs.store import changes, retention
from kencore.jobs.store.database import connected
from kencore.jobs.worker.crew import Crew
from kencore.jobs.worker.far import FarContext
from kencore.quality.judge import judge
from kencore.quality.sensitivity import sensitivity
from kencore.system.devices import usable_threads
from kencore.system.shard import Shard
from tests.support.runs import FILES
from tests.support.tiny_models import save_pair

from .conftest import settle_in
from .helpers import event, finished, gone, half_written, kinds_of, until


@pytest.fixture
def pieces(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of the test's own, whose jobs two processes share."""
    settle_in(monkeypatch, home)
    monkeypatch.setenv("KENVIZ_PIECES", "2")
    monkeypatch.setenv("KENVIZ_PIECE_BYTES", "0")
    yield home
    jobs.shutdown()


def same_run(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).exists() == (other / name).exists()
        assert not (one / name).exists() or (one / name).read_bytes() == (other / name).read_bytes(), name


def asked(folder: Path, **more: Any) -> dict[str, Any]:
    base, tuned = save_pair("bert", folder / "models", change=0.05)
    return {"model": str(tuned), "base": str(base), "method": "delta", "keep": 0.3, "device": "cpu"} | more


# --- pieces of a pruning ------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{"rescale": "energy"}, {"method": "bytes", "keep": None, "bits": 2.0}])
def test_a_pruning_by_tensor_is_that_of_one_process(pieces: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    params = asked(tmp_path, **more)
    job = jobs.submit("prune", params)
    done = finished(job)
    assert (done.state, done.attempt, done.error) == ("succeeded", 1, None), jobs.log(job)
    assert done.done == done.total
    shares = [e.data["matrices"] for e in jobs.events(job) if e.kind == "matrices"]
    alone = prune(PruneSpec.from_dict(params), out=tmp_path / "alone")
    assert len(shares) == 2
    assert min(shares) > 0
    assert sum(shares) == len(alone.pruned)
    same_run(alone.path, jobs.result(job))
    assert until(lambda: half_written(pieces) == [], "the temporary folders")


def test_a_relative_folder_is_found_from_where_the_job_was_submitted(
    pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = asked(tmp_path)
    monkeypatch.chdir(tmp_path)
    near = params | {name: os.path.relpath(params[name]) for name in ("model", "base")}
    shares = find_kind("prune").split(near, 3, str(tmp_path))
    assert [share.params.get("shard") for share in shares] == ["0/3", "1/3", "2/3", None]
    assert [share.last for share in shares] == [False, False, False, True]
    assert len(find_kind("prune").split(near, 3, "/")) == 1
    monkeypatch.setenv("KENVIZ_PIECE_BYTES", str(2**30))
    assert len(find_kind("prune").split(near, 3, str(tmp_path))) == 1
    monkeypatch.setenv("KENVIZ_PIECE_BYTES", "0")
    streams = {"model": "demo-lm", "method": "wanda", "keep": 0.5}
    assert len(find_kind("prune").split(streams, 3, str(tmp_path))) == 1


# --- parts of a text ------------------------------------------------------------------------------


def test_measurements_by_parts_are_those_of_one_process(pieces: Path, tmp_path: Path) -> None:
    spec = PruneSpec(model="demo-lm", base="demo-lm-base", method="delta", keep=0.5)
    run, threads = str(prune(spec, out=tmp_path / "run").path), max(1, usable_threads() // 2)
    text = {"examples": "pydoc", "window": 128, "windows": 5, "cost": False, "baselines": False}
    job = jobs.submit("evaluate", {"model": run, **text})
    one_by_one = jobs.submit("sensitivity", {"run": run, "data": "pydoc", "window": 128, "windows": 1})
    done = finished(job)
    assert (done.state, done.attempt, done.error) == ("succeeded", 1, None), jobs.log(job)
    assert [e.data["states"] for e in jobs.events(job) if e.kind == "measured"] == [3, 3]
    found = jobs.answer(job)
    alone = judge(run, "pydoc", window=128, windows=5, cost=False, baselines=False, threads=threads)
    for step in ("dense", "base", "pruned"):
        assert {**found[step], "seconds": 0} == {**json.loads(json.dumps(alone[step])), "seconds": 0}
    assert finished(one_by_one).state == "succeeded", jobs.log(one_by_one)
    lines = jobs.answer(one_by_one)["matrices"]
    shares = [e.data["matrices"] for e in jobs.events(one_by_one) if e.kind == "matrices"]
    assert len(shares) == 2
    assert sum(shares) == len(lines)
    here = sensitivity(run, "pydoc", window=128, windows=1, threads=threads, shard=Shard(index=0, count=len(lines)))
    assert {**lines[0], "seconds": 0} == {**json.loads(json.dumps(here["matrices"][0])), "seconds": 0}


# --- pieces that die, and those that watch them ---------------------------------------------------


def three(last: dict[str, Any] | None = None, **second: Any) -> dict[str, Any]:
    return {"pieces": [{"steps": 1}, second, {"steps": 2}], "last": {"steps": 1} if last is None else last}


def test_a_piece_that_dies_begins_again_and_the_others_do_not(pieces: Path) -> None:
    job = jobs.submit("selftest", three(steps=1, die_first=True))
    done = finished(job)
    assert (done.state, done.attempt, done.error) == ("succeeded", 1, None), jobs.log(job)
    kinds = kinds_of(job)
    assert kinds["piece restarted"] == 1
    assert kinds["process"] == 5  # three pieces, one of them twice, and the last
    order = [e.kind for e in jobs.events(job)]
    assert order.index("piece restarted") < max(i for i, kind in enumerate(order) if kind == "process")
    assert json.loads((jobs.result(job) / "result.json").read_text())["steps"] == 1


def test_a_piece_that_always_dies_ends_the_job_and_so_does_one_that_fails(pieces: Path) -> None:
    job = jobs.submit("selftest", three(die=9))
    done = finished(job)
    assert done.error is not None
    assert (done.state, done.attempt, done.error["type"]) == ("failed", 1, "WorkerDiedError")
    assert done.error["got"] == "three attempts that ended so"
    assert kinds_of(job)["piece restarted"] == 2
    wrong = finished(jobs.submit("selftest", three(error="nothing works")))
    assert wrong.error is not None
    assert (wrong.state, wrong.error["type"]) == ("failed", "SpecError")
    assert until(lambda: half_written(pieces) == [], "the temporary folders")


def test_who_watches_is_killed_and_nothing_of_it_stays(pieces: Path) -> None:
    job = jobs.submit("selftest", three(steps=1, sleep_until="go"))
    at_work = until(lambda: kinds_of(job)["process"] == 3 and jobs.events(job), "three pieces")
    pids = [e.data["pid"] for e in at_work if e.kind == "process"]
    watcher = psutil.Process(next(e.data["parent"] for e in at_work if e.kind == "process"))
    found = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    watcher.kill()
    assert gone(watcher, *found)
    folders.shared_folder(job, "selftest").joinpath("go").touch()  # it outlives the attempt
    done = finished(job)
    assert (done.state, done.attempt) == ("succeeded", 2), jobs.log(job)
    assert until(lambda: half_written(pieces) == [], "the temporary folders")


def test_a_job_in_pieces_is_cancelled_whole(pieces: Path) -> None:
    job = jobs.submit("selftest", three(long_call=True))
    event(job, "long call")
    pids = [e.data["pid"] for e in jobs.events(job) if e.kind == "process"]
    jobs.cancel(job)
    assert finished(job).state == "cancelled"
    assert all(not psutil.pid_exists(pid) or gone(psutil.Process(pid)) for pid in pids)
    assert until(lambda: half_written(pieces) == [], "the temporary folders")


# --- the book-keeping -----------------------------------------------------------------------------


class Told(Context):
    """A context that notes what it is told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(None, "j", 1, out=folder / "out", threads=1)
        self.told: list[Any] = []

    def _add(self, kind: str, data: Any) -> None:
        self.told.append((kind, dict(data)))

    def set_device(self, device: str) -> None:
        self.told.append(device)

    def _report(self, done: float, total: float, message: str) -> bool:
        self.told.append((done, total, message))
        return True


SAID = {"kind": "selftest", "folder": "/", "user": "local", "id": "not passed on"}


def test_the_last_piece_waits_and_what_was_heard_is_not_heard_again(tmp_path: Path) -> None:
    shares = [Share({"a": 1}, 3.0), Share({"a": 2}, 1.0), Share({}, 1.0, last=True)]
    crew = Crew.begin(tmp_path, SAID, shares, Told(tmp_path))
    assert json.loads(crew.parts[1].piece.asked.read_text())["params"] == {"a": 2}
    assert crew.ready() == crew.parts[:2]
    first, second, last = (FarContext(part.piece, "j", 1, threads=1) for part in crew.parts)
    first.progress(1, 2, "half of it")
    second.event("one", {"x": 1})
    crew.hear()
    assert crew.context.told == [("one", {"x": 1}), (1.5, 5.0, "half of it")]  # type: ignore[attr-defined]
    for context in (first, second):
        context._piece.tell("end", ["succeeded", None])
    crew.hear()
    assert crew.over() is None
    assert crew.ready() == [crew.parts[2]]
    other = Crew.found(tmp_path, Told(tmp_path))  # as the next supervisor finds it
    other.hear()
    assert other.context.told == [(4.0, 5.0, "half of it")]  # type: ignore[attr-defined]
    assert other.ready() == [other.parts[2]]
    last.out.mkdir()
    (last.out / "result.json").write_text("{}")
    last._piece.tell("end", ["succeeded", None])
    other.hear()
    assert other.over() == ("succeeded", None)
    other.gather()
    assert (tmp_path / "out" / "result.json").read_text() == "{}"


def test_a_folder_that_pieces_share_goes_with_its_job(own: Path) -> None:
    with connected(make=True) as connection:
        job = changes.add(connection, kind="selftest", params="{}", user="u", gpus=0, request_key=None, folder="/")
        (own / "results").mkdir()
        for name in (job, "gone"):
            folders.shared_folder(name, "selftest").mkdir()
        retention.prune(connection, results_kept=9)
        assert half_written(own) == [folders.shared_folder(job, "selftest")]
        changes.ask_cancel(connection, job)
        retention.prune(connection, results_kept=9)
        assert half_written(own) == []


def test_a_process_that_was_thought_lost_spoils_nothing(tmp_path: Path) -> None:
    crew = Crew.begin(tmp_path, SAID, [Share({}, 1.0), Share({}, 1.0)], Told(tmp_path))
    part = crew.parts[0]
    lost = FarContext(part.piece, "j", 1, threads=1)
    lost.event("one", {})
    crew.hear()
    assert crew.again(part)
    following = FarContext(part.piece, "j", 1, threads=1)
    following.out.mkdir()
    following.event("two", {})
    lost.event("three", {})
    lost._piece.tell("end", ["failed", {"message": "its folder was removed"}])
    crew.hear()
    assert crew.over() is None
    assert [one for one in crew.context.told if isinstance(one[1], dict)] == [  # type: ignore[attr-defined]
        ("one", {}),
        ("piece restarted", {"piece": 0}),
        ("two", {}),
    ]
    assert Crew.found(tmp_path, Told(tmp_path)).parts[0].piece == part.piece
    assert crew.again(part)
    assert not crew.again(part)
