"""A matrix selected again under a slider: the mask is the one that a fresh selection gives."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kencore import prune
from kencore.errors import GettingReady, SpecError
from kencore.live.ranking import LiveRun, live_run, why_not_live
from kencore.live.setting import Setting, budgets
from kencore.methods.random import row_generator
from kencore.methods.select import select_rows
from kencore.methods.table import rules
from kencore.runs.run import Run, open_run
from kencore.settings.prune import PruneSpec
from kencore.views import window as views
from tests.support import runs

UP = "bert.encoder.layer.1.intermediate.dense.weight"


@pytest.fixture(scope="module")
def demo() -> Run:
    return open_run("demo")


def live(run: Run, name: str, setting: Setting) -> LiveRun:
    return live_run(run, name, setting, patience=60)


@settings(deadline=None, max_examples=40)
@given(
    rule=st.sampled_from(rules()),
    keep=st.integers(1, 200).map(lambda n: n / 200),
    factor=st.sampled_from(["up=0.02", "up=3", "b1=0.5", "q=2", "q=1"]),
    first=st.integers(0, 383),
)
def test_masks_are_those_of_a_fresh_selection(demo: Run, rule: str, keep: float, factor: str, first: int) -> None:
    setting = Setting(keep=keep, method=rule, balance=(factor,))
    budget = budgets(demo, setting)[UP]
    wanted = select_rows(
        demo.values(UP), demo.values(UP, "base"), np.maximum(budget, 1), rule, rng=row_generator(demo.spec.seed, UP)
    )
    wanted[budget == 0] = False
    found = live(demo, UP, setting)
    part = slice(first, first + 20)  # a part alone first, as when zoomed in
    np.testing.assert_array_equal(found.keep(UP, part), wanted[part])
    np.testing.assert_array_equal(found.keep(UP), wanted)


def test_it_is_the_mask_that_prune_gives(demo: Run, tmp_path: Path) -> None:
    made = prune(
        PruneSpec(model="demo", method="ken", keep=0.3, balance=("up=1.5",), device="cpu"),
        out=tmp_path / "run",
        threads=1,
    )
    found = live(demo, UP, Setting(keep=0.3, balance=("up=1.5",)))
    np.testing.assert_array_equal(found.keep(UP), made.keep(UP))
    np.testing.assert_array_equal(found.values(UP, "pruned"), made.values(UP, "pruned"))


@pytest.mark.parametrize("layer", views.LAYERS)
def test_every_view_is_of_the_new_mask(demo: Run, layer: str) -> None:
    found = live(demo, UP, Setting(keep=0.3))
    seen = views.window(found, UP, layer, cell=(16, 8))
    stored = views.window(demo, UP, layer, cell=(16, 8))
    assert seen.kept.mean() == pytest.approx(0.3, abs=0.01)
    assert stored.kept.mean() == pytest.approx(0.5, abs=0.01)
    if layer in ("tuned", "base", "difference"):
        np.testing.assert_array_equal(seen.data, stored.data)
    again = views.window(live(demo, UP, Setting(keep=0.6)), UP, "neighbours", cell=(16, 8))
    assert np.nanmean(again.data) > np.nanmean(stored.data)
    assert views.cell(found, UP, 3, 5)["kept"] == bool(found.keep(UP)[3, 5])


def test_rescaled_values_are_those_of_a_pruning(tmp_path: Path) -> None:
    fields = {"model": "demo", "method": "random", "rescale": "share", "device": "cpu"}
    first = prune(PruneSpec(**fields, keep=0.5), out=tmp_path / "a", threads=1)
    other = prune(PruneSpec(**fields, keep=0.2), out=tmp_path / "b", threads=1)
    found = live(first, UP, Setting(keep=0.2))
    np.testing.assert_array_equal(found.keep(UP), other.keep(UP))
    rows, columns = slice(3, 9), slice(5, 50)
    np.testing.assert_array_equal(found.values(UP, "pruned", rows, columns), other.values(UP, "pruned", rows, columns))


def test_equal_scores_fall_as_the_worker_lets_them_fall() -> None:
    import torch

    from kencore.live.ranking import _scored
    from kencore.methods.scored import keep_lowest_pruned

    scores = np.random.default_rng(0).integers(0, 4, (30, 50)).astype(np.float32)
    ranks = _scored(scores, np.uint16)
    for pruned in (0, 1, 20, 49, 50):
        wanted = keep_lowest_pruned(torch.from_numpy(scores), pruned).numpy()
        np.testing.assert_array_equal(ranks < 50 - pruned, wanted)


def test_what_only_the_worker_can_make_is_said() -> None:
    run = open_run("demo-lm")
    name = run.pruned[-1]
    assert "row step" in (why_not_live(run, Setting.of(run.spec), name) or "")
    with pytest.raises(SpecError, match="worker"):
        live(run, name, Setting.of(run.spec))


def test_a_ranking_that_is_not_there_yet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs.make_run(tmp_path)
    go = threading.Event()
    values = Run.values

    def slowly(self: Run, *args: object, **kwargs: object) -> np.ndarray:
        go.wait(20)
        return values(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "values", slowly)
    with pytest.raises(GettingReady, match="ranking rows"):
        live_run(run, UP, Setting(keep=0.3), patience=0.01)
    go.set()
    assert live(run, UP, Setting(keep=0.3)).keep(UP).sum(axis=1).tolist() == [14] * 96


def test_nobody_waiting_ends_the_work(demo: Run) -> None:
    found = live_run(demo, UP, Setting(keep=0.123), patience=60, wanted=lambda: False)
    with pytest.raises(GettingReady, match="nobody"):
        found.keep(UP)
    assert live(demo, UP, Setting(keep=0.123)).keep(UP).any()


def test_a_slider_needs_no_torch() -> None:
    code = (
        "import sys; from kencore.live.setting import Setting; from kencore.runs.run import open_run; "
        "from kencore.live.ranking import live_run; "
        f"live_run(open_run('demo'), '{UP}', Setting(keep=.3), patience=60).keep('{UP}'); "
        "print([m for m in ('torch', 'transformers', 'scipy.stats') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
