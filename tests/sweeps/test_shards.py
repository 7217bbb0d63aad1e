"""A sweep in several processes with one store: the same runs as in one, each made once."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from kencore.cli.main import app
from kencore.cli.options import words_of
from kencore.errors import SpecError, SweepBusyError
from kencore.runs.run import open_run
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.folder import working_on
from kencore.sweeps.journal import read
from kencore.sweeps.shelf import delete_sweep, list_sweeps, open_sweep
from kencore.sweeps.sweep import sweep
from kencore.system.places import runs_folder, sweeps_folder
from kencore.system.shard import Shard
from tests.support.tiny_models import save_pair
from tests.sweeps.test_sweep import check_equal


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    base, tuned = save_pair("bert", tmp_path_factory.mktemp("shards"), change=0.05)
    return SweepSpec(
        model=str(tuned), base=str(base), methods=("delta", "ken"), keeps=(0.6, 0.3, 0.1), seeds=(0,), device="cpu"
    )


# --- which points -----------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(0, 40))
def test_shards_hold_every_point_once(count: int, points: int) -> None:
    shards = [Shard(index=i, count=count).of(range(points)) for i in range(count)]
    assert sorted(point for shard in shards for point in shard) == list(range(points))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("text", ["", "1", "3/3", "-1/3", "1/0", "0/0", "a/b", "1/2/3", "1 / 2"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(SpecError, match="shard: .* wanted i/n"):
        Shard.from_text(text)


@pytest.mark.parametrize(
    ("place", "least", "step", "count", "wanted"),
    [("0", "0", "1", "4", "0/4"), ("3", "1", "1", "3", "2/3"), ("20", "10", "5", "4", "2/4")],
)
def test_places_of_a_job_array(place: str, least: str, step: str, count: str, wanted: str) -> None:
    names = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP", "SLURM_ARRAY_TASK_COUNT")
    assert str(Shard.from_slurm(dict(zip(names, (place, least, step, count), strict=True)))) == wanted
    assert Shard.from_slurm({}).alone
    with pytest.raises(SpecError, match="SLURM_ARRAY_TASK_ID=x"):
        Shard.from_slurm({"SLURM_ARRAY_TASK_ID": "x"})


# --- their work -------------------------------------------------------------------------------


def part(text: str, index: int) -> None:
    sweep(SweepSpec.from_json(text), shard=Shard(index=index, count=3), threads=1)


def test_three_processes_make_what_one_makes(asked: SweepSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = {name: tmp_path / name for name in ("one", "three")}
    monkeypatch.setenv("KENVIZ_HOME", str(stores["one"]))
    sweep(asked)
    one = {name: runs_folder() / name for name in open_sweep(asked.id).plan}
    monkeypatch.setenv("KENVIZ_HOME", str(stores["three"]))
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=part, args=(asked.to_json(), i)) for i in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = open_sweep(asked.id)
    assert (found.progress["done"], found.progress["failed"], found.running) == (6, 0, False)
    for name, place in one.items():
        check_equal(open_run(place), open_run(runs_folder() / name))
    events = Counter((entry["event"], entry["point"]) for entry in read(sweeps_folder() / asked.id))
    assert events == Counter((event, name) for event in ("began", "finished") for name in one)
    assert len({entry["pid"] for entry in read(sweeps_folder() / asked.id)}) == 3
    delete_sweep(asked.id)
    assert list(sweeps_folder().iterdir()) == []
    assert list(runs_folder().iterdir()) == []


def test_shards_exclude_the_whole_sweep_and_themselves(
    asked: SweepSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path))
    first, second = (Shard(index=i, count=2) for i in range(2))
    with working_on(asked, 0, first), working_on(asked, 0, second):
        for other in (first, second, Shard()):
            with pytest.raises(SweepBusyError), working_on(asked, 0, other):
                pass
    with working_on(asked, 0), pytest.raises(SweepBusyError), working_on(asked, 0, first):
        pass
    assert list_sweeps() == []


def test_the_printed_commands_are_the_sweep(asked: SweepSpec, tmp_path: Path) -> None:
    changed = {"scope": ("q", "k"), "head": False, "baselines": False, "calibration": "a b.txt", "bos": True}
    spec = SweepSpec.from_json(json.dumps(json.loads(asked.to_json()) | changed))
    answer = CliRunner().invoke(app, ["sweep", *words_of(spec), "--print-commands", "--json"])
    assert answer.exit_code == 0, answer.output
    commands = json.loads(answer.stdout)["commands"]
    assert [line.split()[-1] for line in commands] == [f"{i}/6" for i in range(6)]
    assert all("--calibration 'a b.txt'" in line and "--no-head" in line for line in commands)
    again = CliRunner().invoke(app, ["sweep", *words_of(spec), "--print-commands", "--json"], env={})
    assert again.stdout == answer.stdout
