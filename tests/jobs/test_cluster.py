"""Jobs on a Ray cluster of several nodes on this machine; and what of it needs no Ray."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from kencore import PruneSpec, jobs, prune
from kencore.errors import ClusterError, MissingExtraError, SpecError
from kencore.jobs import folders
from kencore.jobs.kinds import find_kind
from kencore.jobs.pieces import Share
from kencore.jobs.settings import WorkerSettings
from kencore.jobs.store import changes
from kencore.jobs.store.database import connected
from kencore.jobs.worker.cluster import RayLauncher, load_ray
from kencore.jobs.worker.far import FarContext, Piece, main
from kencore.jobs.worker.supervisor import _launcher
from kencore.quality.judge import judge
from kencore.settings.sweep import SweepSpec
from kencore.system.places import runs_folder, sweeps_folder

from .helpers import event, finished, gone, half_written, kinds_of, run, supervisor, until

RAY = find_spec("ray") is not None  # imported by the fixture alone: it reads its settings then
on_ray = pytest.mark.skipif(not RAY, reason="Ray is not installed: pip install -e '.[cluster]'")
TOKEN = "0123456789abcdef" * 4
MEMORY = 80 * 2**20  # of a node's object store
PATIENCE = 280.0
PAGE = """
import sys, time
from kencore import jobs
print(jobs.submit(sys.argv[1], __import__("json").loads(sys.argv[2])), flush=True)
time.sleep(600)
"""


# --- without Ray ------------------------------------------------------------------------------


def asked(folder: Path, **params: Any) -> Piece:
    piece = Piece(folder, 0)
    said = {"job": "j", "attempt": 1, "kind": "selftest", "folder": str(folder), "user": "local", "params": params}
    said["shared"] = str(folder)
    piece.asked.write_text(json.dumps(said))
    return piece


def heard(piece: Piece) -> list[dict[str, Any]]:
    return [line for _, line in piece.heard(0)]


def test_a_piece_tells_by_lines_and_leaves_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piece = asked(tmp_path, steps=2)
    for name in ("end_own_family", "be_modest", "limit_threads", "_leave_with"):
        monkeypatch.setattr(f"kencore.jobs.worker.far.{name}", lambda *_: None)
    monkeypatch.setattr("os.chdir", lambda _: None)
    assert main(str(tmp_path), 0, 0, 1) == 0
    lines = heard(piece)
    assert lines[0]["event"][0] == "process"
    assert lines[-2]["progress"][1] == 2
    assert lines[-1] == {"end": ["succeeded", None]}
    assert (piece.out / "result.json").is_file()
    bad = Piece(tmp_path, 1)
    bad.asked.write_text(piece.asked.read_text().replace('"steps": 2', '"error": "nothing works"'))
    assert main(str(tmp_path), 1, 0, 1) == 0
    state, error = heard(bad)[-1]["end"]
    assert (state, error["type"]) == ("failed", "SpecError")
    assert main(str(tmp_path), 2, 0, 1) == 74  # nobody said what to do


def test_what_is_heard_are_whole_lines_from_where_one_was(tmp_path: Path) -> None:
    piece = Piece(tmp_path, 3)
    assert list(piece.heard(0)) == []
    context = FarContext(piece, "j", 1, threads=1)
    context.event("one", {"a": 1})
    context.set_device("a card")
    with piece.told.open("ab") as file:
        file.write(b'not json\n{"event": ["half"')
    found = list(piece.heard(0))
    assert [line for _, line in found] == [{"event": ["one", {"a": 1}]}, {"device": "a card"}]
    assert [line for _, line in piece.heard(found[0][0])] == [{"device": "a card"}]


def test_a_sweep_is_split_by_points_and_everything_else_is_one_piece() -> None:
    spec = SweepSpec(model="demo", methods=("delta", "magnitude"), keeps=(0.5, 0.25, 0.1))
    params = json.loads(spec.to_json())
    pieces = find_kind("sweep").split(params, 4, "/")
    shards = [("0/4", 2), ("1/4", 2), ("2/4", 1), ("3/4", 1)]
    assert [(share.params["shard"], share.weight) for share in pieces] == shards
    assert len(find_kind("sweep").split(params, 100, "/")) == 6
    assert find_kind("sweep").split(params, 1, "/") == [Share(params, 1.0)]
    assert find_kind("tune").split({"run": "m"}, 9, "/") == [Share({"run": "m"}, 1.0)]


def test_without_ray_and_without_a_token_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = WorkerSettings.from_environment({"KENVIZ_RAY_ADDRESS": "auto", "KENVIZ_RAY_CPUS": "0.5"})
    assert (settings.ray, settings.ray_cpus) == ("auto", 0.5)
    monkeypatch.setattr("kencore.jobs.worker.cluster.version", lambda _: "2.60.0")
    with pytest.raises(SpecError, match="RAY_AUTH_MODE: 'disabled'; wanted token"):
        load_ray({"RAY_AUTH_MODE": "disabled"})
    monkeypatch.setattr("kencore.jobs.worker.cluster.version", lambda _: "2.51.1")
    with pytest.raises(MissingExtraError, match=r"pip install -e '.\[cluster\]'"):
        _launcher(settings)


# --- on Ray -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A head that runs nothing, and three nodes of one processor."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_health_check_failure_threshold": "2",
            "RAY_health_check_period_ms": "500",
        }.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": MEMORY}
        found = Cluster(initialize_head=True, head_node_args=head)
        found.nodes = [found.add_node(num_cpus=1, num_gpus=1, object_store_memory=MEMORY) for _ in range(3)]
        yield found
        found.shutdown()


def journal(spec: SweepSpec) -> str:
    path = sweeps_folder() / spec.id / "journal.jsonl"
    return path.read_text() if path.is_file() else ""


@pytest.fixture
def far(cluster: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of the test's own, whose jobs run on the cluster."""
    from .conftest import settle_in

    settle_in(monkeypatch, home)
    monkeypatch.delenv("KENVIZ_WORKERS")
    monkeypatch.setenv("KENVIZ_RAY_ADDRESS", cluster.address)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    yield home
    jobs.shutdown()


@on_ray
@pytest.mark.timeout(900)
def test_a_job_runs_on_a_node_and_everything_comes_home(far: Path) -> None:
    done = run({"steps": 3, "print_bytes": 200, "grandchild": True})
    assert (done.state, done.attempt, done.error) == ("succeeded", 1, None)
    assert [e.kind for e in jobs.events(done.id)][:3] == ["submitted", "started", "process"]
    assert done.done == done.total == 1
    assert (jobs.result(done.id) / "result.json").is_file()
    assert len(jobs.log(done.id)) >= 200
    failed = run({"error": "nothing works"})
    assert failed.error is not None
    assert failed.error["type"] == "SpecError"
    twice = run({"die": 1})
    assert (twice.state, twice.attempt) == ("succeeded", 2)
    slow = jobs.submit("selftest", {"long_call": True})
    process = event(slow, "process")
    jobs.cancel(slow)
    assert finished(slow).state == "cancelled"
    import psutil

    assert not psutil.pid_exists(process["pid"]) or gone(psutil.Process(process["pid"]))
    assert until(lambda: half_written(far) == [], "the temporary folders")


@on_ray
@pytest.mark.timeout(900)
def test_cards_are_shared_and_more_than_there_are_is_refused(far: Path) -> None:
    both = [jobs.submit("selftest", {"steps": 40, "sleep": 0.05}, gpus=0.5) for _ in range(2)]
    none = finished(jobs.submit("selftest", {}, gpus=4))
    assert none.error is not None
    assert none.error["type"] == "DeviceNotFoundError"
    assert "3 CUDA cards for jobs" in none.error["message"]
    assert {finished(job).state for job in both} == {"succeeded"}


@on_ray
@pytest.mark.timeout(900)
def test_the_next_supervisor_goes_on_and_ends_what_the_store_does_not_know(far: Path) -> None:
    job = jobs.submit("selftest", {"steps": 100, "sleep": 0.05})
    other = jobs.submit("selftest", {"steps": 10_000, "sleep": 0.05})
    unknown = event(other, "process")["pid"]
    event(job, "process")
    first = supervisor()
    first.kill()
    assert gone(first)
    with connected() as connection:
        changes.settle(connection, other, 1, "cancelled")
    assert finished(job).state == "succeeded"
    assert Counter(e.kind for e in jobs.events(job)) == Counter(["submitted", "started", "process", "succeeded"])
    import psutil

    assert not psutil.pid_exists(unknown) or gone(psutil.Process(unknown))


@on_ray
@pytest.mark.timeout(900)
def test_a_sweep_that_loses_a_node_its_page_and_its_supervisor_has_every_point_once(far: Path, cluster: Any) -> None:
    methods = ("delta", "magnitude", "random", "ken")
    spec = SweepSpec(model="demo", methods=methods, keeps=(0.5, 0.25, 0.1), device="cpu")
    page = subprocess.Popen([sys.executable, "-c", PAGE, "sweep", spec.to_json()], stdout=subprocess.PIPE, text=True)
    assert page.stdout is not None
    job = page.stdout.readline().strip()
    until(lambda: kinds_of(job)["sweep"] == 3, "three pieces at work", PATIENCE)
    page.kill()
    page.wait()
    first = supervisor()
    first.kill()
    assert gone(first)
    until(lambda: "finished" in journal(spec), "a finished point", PATIENCE)
    cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)
    done = finished(job, PATIENCE)  # the first look starts the next supervisor
    cluster.nodes.append(cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=MEMORY))
    assert (done.state, done.attempt, done.error) == ("succeeded", 1, None), jobs.log(job)
    assert supervisor().pid != first.pid
    ids = {spec.point_id(point) for point in spec.points()}
    assert len(ids) == 12
    assert {path.name for path in runs_folder().iterdir()} == ids
    notes = [json.loads(line) for line in journal(spec).splitlines()]
    assert Counter(note["point"] for note in notes if note["event"] == "finished") == Counter(ids)  # none twice
    ended: set[str] = set()
    for note in notes:
        assert note["event"] != "began" or note["point"] not in ended  # nor begun again once it was there
        ended |= {note["point"]} if note["event"] == "finished" else set()
    assert jobs.answer(job)["sweep"] == spec.id


@on_ray
@pytest.mark.timeout(900)
def test_a_lost_node_costs_its_piece_and_the_last_one_waits(far: Path, cluster: Any) -> None:
    parts = [{"steps": 1, "sleep_until": "go"} for _ in range(3)]
    job = jobs.submit("selftest", {"pieces": parts, "last": {"steps": 4}})
    until(lambda: kinds_of(job)["process"] == 3, "three pieces at work", PATIENCE)
    cluster.remove_node(cluster.nodes.pop(), allow_graceful=False)
    until(lambda: kinds_of(job)["piece restarted"] == 1, "the piece of the lost node", PATIENCE)
    folders.shared_folder(job, "selftest").joinpath("go").touch()
    done = finished(job, PATIENCE)
    cluster.nodes.append(cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=MEMORY))
    assert (done.state, done.attempt, done.error) == ("succeeded", 1, None), jobs.log(job)
    assert kinds_of(job)["process"] == 5  # three, one of them twice, and the last
    assert jobs.answer(job)["steps"] == 4
    assert until(lambda: half_written(far) == [], "the temporary folders")


@on_ray
@pytest.mark.timeout(900)
def test_a_pruning_and_an_evaluation_in_pieces_are_those_of_one_process(
    far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KENVIZ_PIECE_BYTES", "0")
    params = {"model": "demo", "method": "delta", "keep": 0.25, "device": "cpu"}
    made = finished(jobs.submit("prune", params), PATIENCE)
    assert (made.state, made.attempt) == ("succeeded", 1), jobs.log(made.id)
    assert kinds_of(made.id)["matrices"] == 3
    alone = prune(PruneSpec.from_dict(params), out=tmp_path / "alone", threads=1)
    for name in ("masks.safetensors", "rows.parquet", "matrices.parquet", "spec.json"):
        assert (jobs.result(made.id) / name).read_bytes() == (alone.path / name).read_bytes(), name
    asked = {"examples": "demo", "baselines": False, "cost": False}
    judged = finished(jobs.submit("evaluate", {"model": made.id, **asked}), PATIENCE)
    assert judged.state == "succeeded", jobs.log(judged.id)
    assert kinds_of(judged.id)["measured"] == 3
    there, here = jobs.answer(judged.id), judge(str(alone.path), "demo", baselines=False, cost=False, threads=1)
    for step in ("dense", "base", "pruned"):
        assert {**there[step], "seconds": 0} == {**json.loads(json.dumps(here[step])), "seconds": 0}


def test_no_cluster_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kencore.jobs.worker.cluster.load_ray", lambda: None)
    with pytest.raises(ClusterError, match="no cluster that answers"):
        RayLauncher("127.0.0.1:1")
