"""Pages that show a run or a sweep of an encoder, measured by its embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.frame import state
from kencore.runs.run import Run, open_run
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.shelf import Sweep
from kencore.sweeps.sweep import sweep
from kencore.views.guide import guide
from kencore.words.story import steps
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs
from tests.models.test_batches import sentences
from tests.models.test_embedder import POOLS, encoder, with_modules


@pytest.fixture(autouse=True)
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path).install(monkeypatch)


@pytest.fixture
def done(store: Run, tmp_path: Path) -> Sweep:
    """A sweep in the test's store, with measured points and baselines."""
    folder = with_modules(encoder(tmp_path / "m"), POOLS["mean"][0])
    (tmp_path / "lines.txt").write_text("\n".join(sentences(8)) + "\n")
    asked = SweepSpec(
        model=str(folder), methods=("magnitude",), keeps=(0.5, 0.9), evaluation=str(tmp_path / "lines.txt"), cost=False
    )
    found = sweep(asked)
    state.forget_runs()
    return found


def words(test: AppTest) -> str:
    parts = (*test.title, *test.caption, *test.markdown, *test.info, *test.warning, *test.error, *test.success)
    return " ".join(part.value for part in parts).replace("\xa0", " ")


def test_pages_say_similarity(open_page: OpenPage, done: Sweep) -> None:
    run = str(done.points["run"].iloc[0])
    value = f"{100 * done.points['quality'].iloc[0]:.1f} %"
    seen = {}
    for page in ("overview", "story", "sparsity", "tune", "recover", "explain", "compare"):
        query = {"a": run, "b": str(done.points["run"].iloc[1])} if page == "compare" else {"run": run}
        more = {"story": {"step": "cost"}, "overview": {"open": "figures"}}.get(page, {})
        test = open_page(page, **query | more)
        assert not test.exception, page
        seen[page] = words(test)
        assert "accuracy" not in seen[page].replace("An accuracy", ""), page
    assert f"similarity 100.0 % → {value}" in seen["overview"]
    assert "the mean cosine between the embeddings" in seen["overview"]
    assert f"the embeddings of the pruned model are {value}" in seen["story"]
    told = steps(open_run(run), guide(open_run(run).matrices), None)
    assert [step.key for step in told] == ["meaning", "model", "block", "matrix", "cost", "baseline", "stored", "next"]


def test_the_trade_off_is_of_similarity(open_page: OpenPage, done: Sweep) -> None:
    test = open_page("tradeoff", sweep=done.id)
    assert not test.exception
    assert not test.error
    assert "similarity" in words(test)
    assert "accuracy" not in words(test)
    specs = [json.loads(element.proto.spec) for element in test.get("plotly_chart")]
    assert any("similarity" in json.dumps(spec["layout"]) for spec in specs)
    table = next(found.value for found in test.dataframe if "Way" in found.value)
    assert "Similarity" in table
