"""Sweeps whose process is killed: nothing that was finished is lost, or done again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kencore import jobs
from kencore.runs.run import open_run
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.journal import read
from kencore.sweeps.places import is_done
from kencore.sweeps.shelf import open_sweep
from kencore.sweeps.sweep import sweep
from kencore.system.places import runs_folder, sweeps_folder
from tests.jobs.conftest import settle_in
from tests.jobs.helpers import finished, until
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer

# what a sweep needs is loaded once; each line that comes in is a sweep in a process of its own
WORK = """
import os, sys
from importlib import import_module
for module in sys.argv[1].split(","):
    import_module(module)
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.sweep import sweep
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        sweep(SweepSpec.from_json(line), threads=1)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
LOADED = (
    "kencore.models.classifier,kencore.pruning.by_slices,kencore.quality.judge_model,pandas,pyarrow.parquet,"
    "scipy.stats,sklearn.metrics,transformers.models.bert.modeling_bert"
)
Stamps = dict[str, dict[str, tuple[int, int]]]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> SweepSpec:
    """A sweep of 18 points of a tiny classifier, in batches of several."""
    folder = tmp_path_factory.mktemp("killed")
    base, tuned = save_pair("bert", folder, change=0.05)
    add_tokenizer(tuned)
    lines = [f"w{i} w{i + 1} w{2 * i + 3}\t{i % 2}" for i in range(3, 9)]
    (folder / "examples.tsv").write_text("sentence\tlabel\n" + "\n".join(lines) + "\n")
    return SweepSpec(
        model=str(tuned),
        base=str(base),
        methods=("delta", "ken", "magnitude"),
        keeps=tuple(i / 10 for i in (1, 3, 5)),
        rescales=("none", "share"),
        device="cpu",
        evaluation=str(folder / "examples.tsv"),
        baselines=False,
        cost=False,
    )


def done(spec: SweepSpec) -> Stamps:
    """Inode and time of change of every file of every finished point."""
    return {
        name: {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in (runs_folder() / name).iterdir()}
        for name in map(spec.point_id, spec.points())
        if is_done(name)
    }


def check_whole(spec: SweepSpec, before: list[Stamps]) -> None:
    """All points are there; those that were finished at some time have not been touched since."""
    after = done(spec)
    assert len(after) == len(spec.points()) == 18
    for stamps in before:
        assert {name: after[name] for name in stamps} == stamps
    began: Counter[str] = Counter()
    ended: set[str] = set()
    for entry in read(sweeps_folder() / spec.id):
        name = entry["point"]
        if entry["event"] == "began":
            assert name not in ended  # no finished point is begun again
            began[name] += 1
        elif entry["event"] == "finished":
            ended.add(name)
        assert entry["event"] != "failed"
    assert began.keys() == after.keys()
    assert all(open_run(name).metrics["pruned"] for name in after)
    assert list(runs_folder().glob(".*")) == []


def test_a_sweep_killed_three_times_is_finished_once(home: Path, asked: SweepSpec) -> None:
    chance = random.Random(7)
    seen: list[Stamps] = []
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    loaded = subprocess.Popen([sys.executable, "-c", WORK, LOADED], text=True, **pipes)
    assert loaded.stdin
    assert loaded.stdout
    for target in (2, 6, 11):
        print(asked.to_json(), file=loaded.stdin, flush=True)
        pid = int(loaded.stdout.readline())
        try:
            _wait(asked, target, pid)
            time.sleep(chance.uniform(0, 0.15))
        finally:
            os.kill(pid, signal.SIGKILL)
            assert int(loaded.stdout.readline()) == -signal.SIGKILL
        seen.append(done(asked))
        state = open_sweep(asked.id)
        assert not state.running
        assert state.progress["done"] == len(seen[-1]) >= target
        assert state.progress["failed"] == 0
    loaded.stdin.close()
    assert loaded.wait() == 0
    assert len(seen[0]) < len(seen[1]) < len(seen[2]) < 18
    sweep(asked, threads=1)
    check_whole(asked, seen)


def _wait(spec: SweepSpec, target: int, pid: int) -> None:
    names = [spec.point_id(point) for point in spec.points()]
    deadline = time.monotonic() + 120
    while sum(map(is_done, names)) < target:
        assert psutil.pid_exists(pid), "the sweep ended before it was killed"
        assert time.monotonic() < deadline, "waited in vain for the sweep"
        time.sleep(0.005)


# --- through the worker -----------------------------------------------------------------------


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store with a supervisor of its own."""
    settle_in(monkeypatch, home)
    monkeypatch.setenv("KENVIZ_PRELOAD", LOADED)  # once for three attempts
    yield home
    jobs.shutdown()


def test_a_job_whose_worker_is_killed_goes_on_by_itself(own: Path, asked: SweepSpec) -> None:
    data = json.loads(asked.to_json()) | {"methods": ["delta"]}
    spec = SweepSpec.from_dict(data)
    job = jobs.submit("sweep", data)
    until(lambda: done(spec), "the first finished point")
    pid = read(sweeps_folder() / spec.id)[0]["pid"]
    os.kill(pid, signal.SIGSTOP)  # so that what is finished is known before it dies
    seen = done(spec)
    assert 0 < len(seen) < 6
    os.kill(pid, signal.SIGKILL)
    ended = finished(job)
    assert ended.state == "succeeded", jobs.log(job)
    assert ended.attempt == 2
    after = done(spec)
    assert len(after) == 6
    assert {name: after[name] for name in seen} == seen
    again = jobs.submit("sweep", data)
    assert finished(again).state == "succeeded", jobs.log(again)
    assert done(spec) == after
