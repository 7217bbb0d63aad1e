"""What is given a name was on the disk before: told from the calls that a process makes to the system."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from kencore.exports.export import FORMS, export
from kencore.jobs import folders
from kencore.quality.judge import save_metrics
from kencore.recovery.saved import Saved
from kencore.runs.flips import read_flips
from kencore.runs.run import Run
from kencore.settings.recover import RecoverSpec
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.folder import begin
from kencore.system.places import assets_folder, private_folder
from kencore.system.whole import whole_file, whole_folder
from tests.support.runs import make_lm_run

State = tuple[int, int]


class Disk:
    """The system's calls as they come: what was brought to the disk, and what was wrong with a name that was given."""

    def __init__(self) -> None:
        self.flushed: dict[Path, State] = {}
        self.names = 0
        self.wrong: list[str] = []
        self.waiting: set[Path] = set()

    def sync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        self.flushed[path] = state(path)
        self.waiting.discard(path)

    def rename(self, source: Path, target: Path) -> None:
        inside = [source, *source.rglob("*")] if source.is_dir() else [source]
        for path in inside:
            if not path.is_symlink() and self.flushed.get(path) != state(path):
                self.wrong.append(f"{path} got the name {target} before it was on the disk")
        self.names += 1
        self.waiting.add(target.parent)


def state(path: Path) -> State:
    info = path.stat()
    return info.st_mtime_ns, info.st_size


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    recorded = Disk()
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def recorded_fsync(descriptor: int) -> None:
        fsync(descriptor)
        recorded.sync(descriptor)

    def recording(call: Callable[..., None]) -> Callable[..., None]:
        def named(source: str | Path, target: str | Path, **options: int) -> None:
            recorded.rename(Path(source).absolute(), Path(target).absolute())
            call(source, target, **options)

        return named

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "rename", recording(rename))
    monkeypatch.setattr(os, "replace", recording(replace))
    yield recorded
    assert recorded.wrong == []
    assert recorded.waiting == set(), "a folder whose new name was not brought to the disk"


def file(folder: Path) -> None:
    for _ in range(2):
        with whole_file(folder / "a" / "file", force=True) as path:
            path.write_bytes(b"x" * 10_000)


def deep_folder(folder: Path) -> None:
    with whole_folder(folder / "a") as path:
        (path / "b" / "c").mkdir(parents=True)
        (path / "b" / "c" / "d").write_text("d")
        (path / "e").write_text("e")


def run(folder: Path) -> None:
    """Written as `prune`, a sweep's points and a recovery write it; then measured again."""
    made = make_lm_run(folder, "sparsegpt")
    save_metrics(made.path, {"task": "language", "nll": float("nan")})
    assert Run(made.path).metrics["nll"] is None


def flips(folder: Path) -> None:
    found = read_flips(assets_folder() / "demo" / "run")
    assert found is not None
    found.save(folder)


def tuning(folder: Path) -> None:
    saved = Saved(RecoverSpec(run="demo", data="demo", steps=1), {})
    for step in (1, 2):
        saved.save({"w": torch.ones(3)}, {"step": step})
    assert saved.load() is not None


def sweep(folder: Path) -> None:
    begin(SweepSpec(model="demo", keeps=(0.5,)), [], None, ())


def result(folder: Path) -> None:
    part = folders.part_folder("job", "export", 1)
    (folders.make_part(part) / "result.json").write_text("{}")
    folders.publish(part, folders.result_folder("job", "export"))


def exports(folder: Path) -> None:
    made = shutil.copytree(assets_folder() / "demo" / "run", folder / "run")
    for form in FORMS:
        if form == "lora":  # of runs in low rank alone
            continue
        export(made, private_folder(folder / "out") / form, form)


MADE = [file, deep_folder, run, flips, tuning, sweep, result, exports]


@pytest.mark.parametrize("make", MADE)
def test_all_of_it_is_on_the_disk_before_its_name(make: Callable[[Path], None], tmp_path: Path, disk: Disk) -> None:
    make(tmp_path)
    assert disk.names > 0


def test_a_name_that_comes_too_early_would_be_seen(tmp_path: Path) -> None:
    recorded = Disk()
    (tmp_path / "a").write_text("a")
    recorded.rename(tmp_path / "a", tmp_path / "b")
    assert recorded.wrong
    assert recorded.waiting
