"""After `warm` no process compiles: neither a slider nor a prune. Where nothing can be kept, all still works."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kencore
from kencore.methods import warm

ROOT = Path(kencore.__file__).parent.parent
SLIDER = """
from kencore.live.ranking import live_run
from kencore.live.setting import Setting
from kencore.runs.run import open_run
run, name = open_run("demo"), "bert.encoder.layer.1.intermediate.dense.weight"
with event.install_recorder("numba:run_pass") as passes:
    for method in ("ken", "ken-density"):
        for keep in (0.5, 0.25):
            live_run(run, name, Setting(keep=keep, method=method), patience=60).keep(name)
"""
PRUNE = """
import sys
import torch
from kencore import PruneSpec, prune
from kencore.methods.sparsegpt import sparsegpt
with event.install_recorder("numba:run_pass") as passes:
    for method in ("ken", "ken-density"):
        spec = PruneSpec(model="demo", method=method, keep=0.5, scope=("q",), device="cpu")
        prune(spec, out=f"{sys.argv[1]}/{method}")
    sparsegpt(torch.randn(8, 16), torch.eye(16), 4)
"""
PROVEN = """
from kencore.methods.compiled import KERNELS
print(len(passes.buffer), sorted(KERNELS))
"""


def process(*command: str, **environment: str) -> str:
    """What a Python process of its own prints."""
    found = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=ROOT, env=os.environ | environment, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of machine code that was empty before `python -m kencore warm`."""
    folder = tmp_path_factory.mktemp("cache")
    ask = "from kencore.methods.warm import needs_warming; print(needs_warming())"
    assert process("-c", ask, NUMBA_CACHE_DIR=str(folder)) == "True"
    facts = json.loads(process("-m", "kencore", "warm", "--json", NUMBA_CACHE_DIR=str(folder)))
    assert facts["kernels"] == facts["compiled"] == 16
    assert facts["folder"] == str(folder)
    assert process("-c", ask, NUMBA_CACHE_DIR=str(folder)) == "False"
    return folder


def test_the_second_time_nothing_is_left_to_compile(cache: Path) -> None:
    said = process("-m", "kencore", "warm", NUMBA_CACHE_DIR=str(cache))
    assert said.startswith("All 16 kernels were compiled already")


@pytest.mark.parametrize(
    ("code", "kernels"),
    [
        (SLIDER, "['coarse_nodes', 'density_ranks', 'keep_sorted', 'node_offsets']"),
        (PRUNE, "['coarse_nodes', 'density_ranks', 'keep_sorted', 'node_offsets', 'sweep_rows']"),
    ],
    ids=["slider", "prune"],
)
def test_nothing_compiles_after_it(cache: Path, tmp_path: Path, code: str, kernels: str) -> None:
    script = "from numba.core import event\n" + code + PROVEN
    assert process("-c", script, str(tmp_path), NUMBA_CACHE_DIR=str(cache)) == f"0 {kernels}"


TOY = """
from kencore.methods.compiled import compiled
@compiled("int64(int64)")
def more(n):
    return n + 1
print(more(1), sum(more.stats.cache_hits.values()), more.stats.cache_path)
"""


def test_another_processor_gets_code_of_its_own(tmp_path: Path) -> None:
    script, folder = tmp_path / "toy.py", tmp_path / "cache"
    script.write_text(TOY, "utf-8")
    here = {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    found = [process(str(script), **here, **cpu).split()[:2] for cpu in ({}, {"NUMBA_CPU_NAME": "generic"}, {})]
    assert found == [["2", "0"], ["2", "0"], ["2", "1"]]


def test_without_a_folder_that_can_be_written_it_compiles_in_the_process(tmp_path: Path) -> None:
    script, blocked = tmp_path / "toy.py", tmp_path / "file"
    script.write_text(TOY, "utf-8")
    blocked.touch()
    said = process(
        str(script),
        PYTHONPATH=str(ROOT),
        NUMBA_CACHE_DIR=str(blocked / "cache"),
        NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator",
    )
    assert said == "2 0 None"


def test_a_full_disk_does_not_stop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core import caching

    from kencore.methods import compiled

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def more(n: Any) -> Any:
        return n + 1

    monkeypatch.setattr(caching.Cache, "save_overload", full)
    monkeypatch.setattr(compiled, "KERNELS", {})
    kernel: Any = compiled.compiled("int64(int64)")(more)
    assert kernel(1) == 2
    assert kernel.stats.cache_path is None


def test_types_that_were_not_declared_are_refused() -> None:
    import numpy as np

    from kencore.methods.ken.kernels import node_offsets

    with pytest.raises(TypeError, match="No matching definition"):
        node_offsets(np.zeros((2, 3)), np.zeros(2), np.zeros(3, np.int64))


def test_nothing_is_asked_for_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert not warm.needs_warming()
