"""A sweep of what cannot be used ends with the message before anything is pruned or written."""

from __future__ import annotations

from pathlib import Path

import pytest

import kencore.errors
from kencore.errors import KencoreError
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.sweep import sweep
from kencore.system.places import runs_folder, sweeps_folder
from tests.support.bad_models import BAD


@pytest.mark.parametrize("kind", BAD)
def test_a_sweep_ends_before_anything_runs(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for begun in ("kencore.pruning.by_slices.Pruner.prune", "kencore.pruning.workbench.Workbench.__init__"):
        monkeypatch.setattr(begun, lambda *_, **__: pytest.fail("it was begun"))
    bad = BAD[kind]
    spec = SweepSpec(**bad.make(tmp_path), methods=("magnitude", "random"), keeps=(0.5, 0.3), device="cpu")
    with pytest.raises(getattr(kencore.errors, bad.error), match=".") as caught:
        sweep(spec, threads=1)
    assert isinstance(caught.value, KencoreError)
    assert bad.said in str(caught.value)
    assert caught.value.remedy
    assert not list(runs_folder().iterdir())
    assert not [path for path in sweeps_folder().iterdir() if path.is_dir()]
