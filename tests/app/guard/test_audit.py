"""The record of actions: whole lines, of one file, for this account alone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.guard import audit, visitor
from app.guard.audit import Audit
from kencore.errors import StoreNotWritableError
from tests.app.guard.test_door import scope


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_are_whole_whoever_writes(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    two = [Audit(path), Audit(path)]

    def write(number: int) -> None:
        for at in range(50):
            two[number % 2]("start", {"kind": f"{number}\n{at}" + "x" * 1000})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = lines(path)
    assert [line["action"] for line in found[:2]] == ["server started"] * 2
    wanted = {f"{number}\n{at}" for number in range(4) for at in range(50)}
    assert {str(line["kind"]).split("x")[0] for line in found[2:]} == wanted
    assert path.stat().st_mode & 0o777 == 0o600


def test_who_did_it_is_said(tmp_path: Path) -> None:
    written = Audit(tmp_path / "audit.jsonl")
    visitor.enter(scope(), "ann")
    written("delete", {"run": "r"})
    visitor.enter(scope(), None)
    last = lines(tmp_path / "audit.jsonl")[-1]
    assert (last["who"], last["action"], last["run"]) == ("ann", "delete", "r")


def test_the_file_may_be_moved_away(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    written = Audit(path)
    path.rename(tmp_path / "old")
    written("delete", {"run": "r"})
    assert [line["action"] for line in lines(path)] == ["delete"]


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreNotWritableError):
        Audit(tmp_path / "no folder" / "audit.jsonl")


def test_a_storm_of_refusals_is_counted_and_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MINUTE", 0.2)
    written = Audit(tmp_path / "audit.jsonl")
    for _ in range(1000):
        written.refused("192.0.2.1", "host")
    written.refused("192.0.2.2", "proxy")
    until(lambda: any("more" in line for line in lines(tmp_path / "audit.jsonl")))
    found = lines(tmp_path / "audit.jsonl")[1:]
    assert [line["action"] for line in found] == ["request refused"] * 60 + ["login refused", "refused"]
    assert found[-2]["address"] == "192.0.2.2"
    assert (found[-1]["why"], found[-1]["more"]) == ("host", 940)
    written.refused("192.0.2.1", "host")  # a new minute
    assert lines(tmp_path / "audit.jsonl")[-1]["action"] == "request refused"


def until(check: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not check():
        assert time.monotonic() < end
        time.sleep(0.02)
