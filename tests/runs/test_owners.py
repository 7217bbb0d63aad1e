"""Whose runs and sweeps are: each person sees and changes their own, and sees what is shared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kencore.errors import NotAllowedError, RunNotFoundError, SweepNotFoundError
from kencore.runs import shelf
from kencore.runs.run import open_run
from kencore.sweeps.shelf import delete_sweep, find_sweep, is_own, list_sweeps, open_sweep
from kencore.system import people
from tests.support.people import looking
from tests.support.runs import make_run
from tests.support.sweeps import make_sweep


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("made"), "magnitude").path


@pytest.fixture
def runs(home: Path, made: Path) -> Path:
    """A store with a run of Ann's, a run of Ben's and one of nobody's."""
    for owner in ("ann", "ben", "local"):
        folder = shutil.copytree(made, home / "runs" / f"of-{owner}")
        record = json.loads((folder / "record.json").read_text())
        (folder / "record.json").write_text(json.dumps(record | ({} if owner == "local" else {"owner": owner})))
    return home / "runs"


def own(names: list[shelf.RunSummary]) -> set[str]:
    return {run.id for run in names if run.id.startswith("of-")}


def test_a_run_says_whose_it_is(runs: Path, tmp_path: Path) -> None:
    people.work_for("ann")
    try:
        assert make_run(tmp_path, "magnitude").record["owner"] == "ann"
    finally:
        people.work_for(people.LOCAL)
    owners = {run.id: run.owner for run in shelf.list_runs() if run.id.startswith("of-")}
    assert owners == {"of-ann": "ann", "of-ben": "ben", "of-local": None}
    assert "owner" not in json.loads((runs / "of-local" / "record.json").read_text())


def test_each_sees_their_own_and_what_is_shared(runs: Path) -> None:
    assert own(shelf.list_runs()) == {"of-ann", "of-ben", "of-local"}  # on one's own machine all is one's own
    with looking("ann"):
        assert own(shelf.list_runs()) == {"of-ann", "of-local"}
        assert open_run("of-ann").id == "of-ann"
        for name in ("of-ben", str(runs / "of-ben"), str(runs / "of-ann"), "no-such-run"):
            with pytest.raises(RunNotFoundError) as error:
                shelf.find_run(name)
            assert "of-ben" not in error.value.remedy
    with looking("ben"):
        shelf.share_run("of-ben", True)
    with looking("ann"):
        assert own(shelf.list_runs()) == {"of-ann", "of-ben", "of-local"}
        assert open_run("of-ben").id == "of-ben"
    with looking("ben"):
        shelf.share_run("of-ben", False)
    with looking("ann"), pytest.raises(RunNotFoundError):
        shelf.find_stored_run("of-ben")
    with looking(people.NOBODY):
        assert own(shelf.list_runs()) == {"of-local"}


def test_nobody_changes_what_is_not_theirs(runs: Path) -> None:
    with looking("ben"):
        shelf.share_run("of-ben", True)
    with looking("ann") as told:
        for change in (
            lambda name: shelf.delete_run(name),
            lambda name: shelf.relabel_run(name, name="mine"),
            lambda name: shelf.share_run(name, False),
        ):
            for name in ("of-ben", "of-local"):
                with pytest.raises(NotAllowedError):
                    change(name)
        assert told == []
        shelf.relabel_run("of-ann", name="mine")
        shelf.delete_run("of-ann")
    assert told == [("rename", {"run": "of-ann"}), ("delete", {"run": "of-ann"})]
    assert own(shelf.list_runs()) == {"of-ben", "of-local"}


def test_what_cannot_be_written_down_is_not_done(runs: Path) -> None:
    def full(_action: str, _facts: dict[str, object]) -> None:
        raise NotAllowedError("audit", got="full", wanted="room", remedy="Free some.")

    with looking("ann"):
        people.tell_by(full)
        with pytest.raises(NotAllowedError):
            shelf.delete_run("of-ann")
    assert (runs / "of-ann").is_dir()


def test_a_folder_that_does_not_say_whose_it_is_is_shown_to_nobody(runs: Path) -> None:
    (runs / "of-ben" / "record.json").write_text("{")
    assert "of-ben" in own(shelf.list_runs())
    for name in ("ann", "ben"):
        with looking(name):
            assert "of-ben" not in own(shelf.list_runs())
            with pytest.raises(RunNotFoundError):
                shelf.find_stored_run("of-ben")


def test_bytes_are_counted_per_person(runs: Path) -> None:
    wanted = sum(file.stat().st_size for file in (runs / "of-ann").iterdir())
    assert shelf.bytes_of("ann") == wanted
    assert shelf.bytes_of("eve") == 0


def test_the_same_grid_of_two_people_is_two_sweeps(home: Path, tmp_path: Path) -> None:
    made = {}
    settings = {"methods": ("delta",), "keeps": (0.5,), "seeds": (0,)}
    for name in ("ann", "ben"):
        people.work_for(name)
        made[name] = make_sweep(tmp_path / "pair", missing=0, failed=0, **settings)
        shutil.rmtree(tmp_path / "pair")
    people.work_for(people.LOCAL)
    assert made["ann"].id != made["ben"].id
    for name, other in (("ann", "ben"), ("ben", "ann")):
        with looking(name):
            assert [sweep.id for sweep in list_sweeps()] == [made[name].id]
            assert open_sweep(made[name].id).progress["done"] == 1
            assert is_own(made[name].id)
            for asked in (made[other].id, str(made[other].path), str(made[name].path)):
                with pytest.raises(SweepNotFoundError):
                    find_sweep(asked)
            with pytest.raises(SweepNotFoundError):
                delete_sweep(made[other].id)
    with looking("ben"):
        delete_sweep(made["ben"].id)
    assert [sweep.id for sweep in list_sweeps()] == [made["ann"].id]
