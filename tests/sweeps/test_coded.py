"""Sweeps with coded points: the same bits as one by one, with the model, the options and the gradients shared."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from kencore.models.classifier import Classifier
from kencore.pruning import coder
from kencore.quality import second_order
from kencore.quality.cost import cost_of
from kencore.runs.run import open_run
from kencore.sweeps.sweep import sweep
from kencore.views.tradeoff import curve
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer, write_text
from tests.support.tuned_cases import write_sentences
from tests.sweeps.test_sweep import _count, check_separately, encoder, language


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny classifier and a tiny language model, with bases, and what to judge them on."""
    where = tmp_path_factory.mktemp("coded")
    for family in ("bert", "llama"):
        for side in save_pair(family, where / family, change=0.05):
            add_tokenizer(side)
    write_sentences(where / "examples.tsv", 24)
    write_text(where / "text.txt", 800)
    return where


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kencore.quality.judge_model.cost_of", partial(cost_of, repeats=1))


def test_coded_points_share_what_they_can(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is loaded once, codes are tried once, gradients taken once, the dense model measured once."""
    spec = encoder(pairs, methods=("bytes",), keeps=(), bits=(13, 16, 20))
    tried: list[int] = []
    passed: list[int] = []
    options, nats = coder.options, second_order.nats
    with monkeypatch.context() as counting:
        loaded, measured = _count(counting, Classifier)
        counting.setattr(coder, "options", lambda *a, **k: (tried.append(1), options(*a, **k))[1])
        counting.setattr(second_order, "nats", lambda *a, **k: (passed.append(1), nats(*a, **k))[1])
        found = sweep(spec)
    runs = [open_run(name) for name in found.plan]
    assert (len(loaded), len(passed)) == (1, 1)
    assert len(tried) == len(runs[0].pruned)
    beside = [set(run.metrics["baselines"]) for run in runs]
    # dense and base; each point with its own exact values; BitDelta, wherever it fits
    assert len(measured) == 2 + 3 * 2 + any("bitdelta" in names for names in beside)
    assert all("delta" in names for names in beside)
    check_separately(found, tmp_path)
    for name, run in zip(found.plan, runs, strict=True):
        assert run.record["ordered"] == open_run(tmp_path / name).record["ordered"]
        other = tmp_path / name / "codes.safetensors"
        assert (run.path / "codes.safetensors").read_bytes() == other.read_bytes()
    table = found.baselines
    assert list(table[table["baseline"] == "delta"]["bits"]) == [13, 16, 20]
    assert set(table["method"]) == set.union(*beside)
    lines = curve(found.points, table)
    assert set(lines[lines["baseline"]]["name"]) == set(table["method"])


def test_coded_points_of_a_language_model_share_them_too(pairs: Path, tmp_path: Path) -> None:
    spec = language(pairs, base=str(pairs / "llama/base"), methods=("bytes", "delta"), bits=(16, 20), keeps=(0.5,))
    found = sweep(spec)
    check_separately(found, tmp_path)
    for name in found.plan:
        run = open_run(name)
        assert run.metrics["pruned"]["versus_dense"]["kl"] > 0
        assert all(one["versus_dense"]["kl"] > 0 for one in run.metrics["baselines"].values())
