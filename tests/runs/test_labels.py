"""Names and tags of runs, and what tells runs apart that are called the same."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from kencore.errors import RunNotFoundError, SpecError
from kencore.runs.labels import FILE, Label, read_label
from kencore.runs.naming import Called, told_apart
from kencore.runs.shelf import list_runs, relabel_run
from kencore.system.places import runs_folder
from tests.support.runs import make_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = runs_folder() / "mine"
    shutil.copytree(make_run(tmp_path).path, folder)
    return folder


def listed() -> dict[str, Any]:
    return {found.id: found for found in list_runs()}


def test_a_label_is_kept_and_taken_away(run: Path) -> None:
    plain = listed()["mine"].label
    relabel_run("mine", name="  half ", add=["paper", "old"])
    relabel_run("mine", add=["paper"], remove=["old"])
    assert (listed()["mine"].label, listed()["mine"].tags) == ("half", ("paper",))
    relabel_run("mine", name="")
    assert (listed()["mine"].label, listed()["mine"].tags) == (plain, ("paper",))


@pytest.mark.parametrize("name", ["a\nb", "x" * 81, "\x07"])
def test_a_name_is_one_short_line(run: Path, name: str) -> None:
    with pytest.raises(SpecError, match="name"):
        relabel_run("mine", name=name)
    assert not (run / FILE).exists()


@pytest.mark.parametrize("tag", ["", "a,b", "x" * 25])
def test_a_tag_is_a_word(run: Path, tag: str) -> None:
    with pytest.raises(SpecError, match="tag"):
        relabel_run("mine", add=[tag])


def test_what_ships_keeps_its_name(run: Path) -> None:
    with pytest.raises(RunNotFoundError, match="ships"):
        relabel_run("demo", name="other")


@pytest.mark.parametrize("text", ["", "[]", '{"name": 3}', '{"name": "x", "tags": 5}', '{"name": "\\n"}', "\xff"])
def test_a_damaged_label_never_hides_the_run(run: Path, text: str) -> None:
    (run / FILE).write_text(text, "latin-1")
    assert read_label(run) == Label()
    assert listed()["mine"].problem is None


def test_what_was_written_anew_is_read_anew(run: Path) -> None:
    before = listed()["mine"]
    record = json.loads((run / "record.json").read_text("utf-8"))
    stamp = (run / "record.json").stat()
    (run / "record.json").write_text(json.dumps(record | {"created": "2030-01-01T00:00:00+00:00"}), "utf-8")
    os.utime(run / "record.json", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as on a file system with coarse times
    assert listed()["mine"].created != before.created
    (run / "masks.safetensors").unlink()
    assert "masks.safetensors" in (listed()["mine"].problem or "")


def called(name: str, made: str = "2026-01-01T10:00:00", label: str = "ken 50 %", **spec: object) -> Called:
    return Called(id=name, label=label, created=made, spec=spec)


def test_runs_that_read_the_same_are_told_apart_by_what_differs() -> None:
    group = [called("a", seed=0, scope=["all"]), called("b", seed=1, scope=["all"]), called("c", label="other")]
    assert told_apart(group) == {"a": "ken 50 % · seed 0", "b": "ken 50 % · seed 1", "c": "other"}


def test_else_by_when_they_were_made_else_by_their_id() -> None:
    later = called("b", made="2026-01-02T09:30:00+00:00", seed=0)
    found = told_apart([called("a", seed=0), later])
    assert found == {"a": "ken 50 % · 2026-01-01 10:00", "b": "ken 50 % · 2026-01-02 09:30"}
    assert told_apart([called("a"), called("b")]) == {"a": "ken 50 % (a)", "b": "ken 50 % (b)"}


def test_a_setting_that_changes_nothing_tells_nothing_apart() -> None:
    found = told_apart([called("a", device="cpu"), called("b", made="2026-01-02T09:30:00", device="cuda")])
    assert found["a"] == "ken 50 % · 2026-01-01 10:00"
