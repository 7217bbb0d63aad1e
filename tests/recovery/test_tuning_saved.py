"""A tuning that was stopped goes on where it was, and ends with the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from kencore import Run, open_run
from kencore.errors import JobCancelled, StoreNotWritableError, TuningBusyError
from kencore.recovery.saved import FILE, Saved, sweep
from kencore.settings.recover import RecoverSpec
from tests.support.tuned_cases import make_run, tuned_run, write_data

STEPS = 24
SETTINGS: dict[str, Any] = {"steps": STEPS, "every": 4, "save_every": 3, "batch": 8, "weight_decay": 0.1}
KILLED = """
import os, signal, sys
from pathlib import Path
from kencore import open_run
from tests.support.tuned_cases import tuned_run
from tests.recovery.test_tuning_saved import SETTINGS
run, data, out, step = sys.argv[1:]
def kill(point):
    if point["step"] == int(step):
        os.kill(os.getpid(), signal.SIGKILL)
tuned_run(open_run(run), Path(data), Path(out), on_point=kill, **SETTINGS)
"""


@pytest.fixture(scope="module")
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(run, data, the run tuned without a stop); BERT drops entries out while it learns."""
    architecture = getattr(request, "param", "bert")
    folder = tmp_path_factory.mktemp(architecture)
    run = make_run(folder, architecture, dtype=torch.float16, scope=("blocks",))
    data = write_data(folder, architecture)
    return run, data, tuned_run(run, data, folder / "whole", **SETTINGS)


def same(first: Run, second: Run) -> None:
    """Every bit of the weights, and all that is said of the tuning but for seconds."""
    for name in ("values.safetensors", "dense.safetensors", "masks.safetensors"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes(), name
    assert first.tuning is not None
    assert second.tuning is not None
    for key in ("curve", "gap", "best_step", "best_held_out_loss", "steps", "trained"):
        told = [json.loads(json.dumps(run.tuning[key])) for run in (first, second) if run.tuning]
        assert without_seconds(told[0]) == without_seconds(told[1]), key


def without_seconds(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: without_seconds(value) for key, value in found.items() if key != "seconds"}
    return [without_seconds(value) for value in found] if isinstance(found, list) else found


def checkpoints(home: Path) -> list[Path]:
    return list((home / "tuning").rglob("*.safetensors"))


def test_after_a_kill_it_goes_on_and_ends_with_the_same_bits(case: Any, home: Path, tmp_path: Path) -> None:
    run, data, whole = case
    step = random.randrange(4, STEPS)
    where = [str(run.path), str(data), str(tmp_path / "out"), str(step)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *where],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"KENVIZ_HOME": str(home)},
    )
    assert done.returncode == -signal.SIGKILL, (step, done.stderr)
    assert not (tmp_path / "out").exists()
    assert len(checkpoints(home)) == 1
    seen: list[dict[str, Any]] = []
    again = tuned_run(run, data, tmp_path / "out", on_point=seen.append, **SETTINGS)
    same(again, whole)
    assert again.tuning is not None
    assert seen == again.tuning["curve"]  # whoever draws it sees all of it again
    assert not list((home / "tuning").iterdir())


@pytest.mark.parametrize(("case", "stop"), [("bert", "progress"), ("qwen3", "on_point")], indirect=["case"])
def test_after_a_cancel_it_goes_on_and_ends_with_the_same_bits(
    case: Any, stop: str, home: Path, tmp_path: Path
) -> None:
    run, data, whole = case
    trained: list[int] = []

    def cancel(*told: Any) -> None:
        step = told[0].get("step", 0) if stop == "on_point" else _step(told[2])
        if step == 14:
            raise JobCancelled("job")

    def note(point: dict[str, Any]) -> None:
        trained.append(point["step"])

    with pytest.raises(JobCancelled):
        tuned_run(run, data, tmp_path / "out", **SETTINGS, **{stop: cancel})
    assert list(tmp_path.iterdir()) == []
    assert len(checkpoints(home)) == 1
    steps: list[int] = []
    again = tuned_run(
        run,
        data,
        tmp_path / "out",
        **SETTINGS,
        on_point=note,
        progress=lambda done, total, message: steps.append(_step(message)),
    )
    same(again, whole)
    assert min(step for step in steps if step) == 13  # 12 was saved
    assert trained == list(range(STEPS + 1))


def _step(message: str) -> int:
    return int(message.split()[1]) if message.startswith("Step") and "loss" in message else 0


def test_what_was_asked_otherwise_starts_anew(case: Any, home: Path, tmp_path: Path) -> None:
    run, data, _ = case
    stop = RuntimeError("stop")

    def cancel(point: dict[str, Any]) -> None:
        if point["step"] == 7:
            raise stop

    with pytest.raises(RuntimeError):
        tuned_run(run, data, tmp_path / "out", on_point=cancel, **SETTINGS)
    for other in ({"seed": 3}, {"lr": 1e-4}):
        steps: list[int] = []
        tuned_run(
            run,
            data,
            tmp_path / f"{other}",
            **(SETTINGS | other | {"steps": 8}),
            progress=lambda done, total, message, steps=steps: steps.append(_step(message)),
        )
        assert min(step for step in steps if step) == 1
    assert len(checkpoints(home)) == 1  # the first one's own


def saved(**facts: Any) -> Saved:
    return Saved(RecoverSpec(run="r", data="d"), facts)


def test_a_checkpoint_is_the_old_one_or_the_new_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, other = saved(run="a"), saved(run="b")
    assert place.folder != other.folder
    assert place.load() is None
    tensors = {"weight.a": torch.arange(3.0), "step.a": torch.tensor(2.0)}
    place.save(tensors, {"state": {"step": 2, "best_loss": 0.1}})
    found = saved(run="a").load()
    assert found is not None
    assert all(torch.equal(found[0][name], tensor) for name, tensor in tensors.items())
    assert found[1] == {"state": {"step": 2, "best_loss": 0.1}}

    def full(tensors: Any, path: Path, *rest: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("safetensors.torch.save_file", full)
        with pytest.raises(StoreNotWritableError, match="(?i)no space left"):
            place.save(tensors, {"state": {"step": 3}})
    again = place.load()
    assert again is not None
    assert again[1] == found[1]
    assert [path.name for path in place.folder.iterdir()] == [FILE]
    (place.folder / FILE).write_bytes(b"torn")
    assert place.load() is None  # then it starts anew
    place.remove()
    assert not place.folder.exists()


def test_two_processes_do_not_do_the_same_at_once(home: Path) -> None:
    with saved().alone():
        with pytest.raises(TuningBusyError, match="Recovery of r"):
            saved().alone().__enter__()
        sweep()  # and a lock that is held is no leftover
        assert len(list((home / "tuning").iterdir())) == 1
        with saved(run="another").alone():
            pass
    with saved().alone():
        pass
    assert list((home / "tuning").iterdir()) == []
    (home / "tuning" / "killed.lock").touch()
    sweep()
    assert list((home / "tuning").iterdir()) == []


def test_leftovers_of_a_week_are_swept(home: Path) -> None:
    sweep()  # nothing there yet
    old, young = saved(run="old"), saved(run="young")
    for place in (old, young):
        place.save({"a": torch.zeros(1)}, {})
    past = time.time() - 8 * 86_400
    for path in (old.folder, old.folder / FILE):
        os.utime(path, (past, past))
    sweep()
    assert not old.folder.exists()
    assert young.load() is not None


def test_the_checkpoint_is_no_pickle(case: Any, home: Path, tmp_path: Path) -> None:
    run, data, _ = case

    def cancel(point: dict[str, Any]) -> None:
        if point["step"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned_run(run, data, tmp_path / "out", on_point=cancel, **SETTINGS)
    (file,) = checkpoints(home)
    header = json.loads(file.read_bytes()[8 : 8 + int.from_bytes(file.read_bytes()[:8], "little")])
    assert json.loads(header["__metadata__"]["state"])["state"]["step"] == 3
    kinds = {name.partition(".")[0] for name in header if name != "__metadata__"}
    assert kinds == {"weight", "best", "exp_avg", "exp_avg_sq", "step"}
    assert open_run(run.path).tuning is None
