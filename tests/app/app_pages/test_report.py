"""The report in the app: prepared by a job, downloaded, and with the numbers of the Overview."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from app.data.routes import routes
from app.frame import state
from kencore.jobs import tasks
from kencore.report.build import build
from kencore.report.page import html
from kencore.runs.run import Run, open_run
from kencore.system.places import runs_folder
from tests.app.app_pages.test_recover import judged
from tests.app.app_pages.test_recover import tuned as tuned
from tests.app.conftest import OpenPage, make_all, put_beside
from tests.app.data.test_exports import Worker, links_of
from tests.app.fake_jobs import FakeJobs
from tests.report.pages import Page, parse
from tests.support.sweeps import make_sweep


@pytest.fixture
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path / "results").install(monkeypatch)


@pytest.fixture(scope="session")
def language(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_all(tmp_path_factory, {"lm": {}})


def test_it_is_prepared_once_and_then_downloaded(
    open_page: OpenPage, store: Run, language: dict[str, Path], store_of_jobs: FakeJobs
) -> None:
    shutil.copytree(store.path, store.path.parent / "other")
    state.forget_runs()
    test = open_page("overview", run="sample", open="export")
    test.selectbox(key="report_beside").select("other").run()
    assert test.query_params["beside"] == "other"
    for _ in range(2):
        test.button(key="export-report").click()
    test.run()
    assert not test.exception
    assert [(job.kind, job.params) for job in store_of_jobs.found.values()] == [
        ("report", {"run": "sample", "beside": "other"})
    ]
    assert test.query_params["report"] == "job0"
    assert "export-report" not in {button.key for button in test.button}
    params = dict(store_of_jobs.found["job0"].params)
    tasks.report_run(params, Worker(store_of_jobs.result("job0")))  # type: ignore[arg-type]
    store_of_jobs.change("job0", state="succeeded", started=1.0, finished=2.0)
    test.run()
    assert not test.exception
    assert [link.url for link in links_of(test)] == ["/kenviz/export?job=job0"]
    answer = TestClient(Starlette(routes=routes())).get("/kenviz/export?job=job0")
    assert "sample.report.html" in answer.headers["content-disposition"]
    assert answer.headers["content-disposition"].startswith("attachment")
    page = parse(answer.text)
    assert page.named("svg")
    assert "Beside other" in page.text


def test_bad_links_say_what_is_wanted(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("overview", report="nobody", beside="nothing")
    assert not test.exception
    said = [error.value for error in test.error]
    assert any("nobody" in text for text in said)
    assert any("the id of another finished run" in text for text in said)
    assert "export-report" in {button.key for button in test.button}


# --- the same numbers ---------------------------------------------------------------------------

Make = Callable[[], Run]


@pytest.fixture
def runs(
    store: Run, language: dict[str, Path], tuned: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Make]:
    """How to make each kind of run, in the store."""

    def shipped(name: str) -> Run:
        monkeypatch.delenv("KENVIZ_ASSETS")
        return open_run(name)

    def point() -> Run:
        sweep = make_sweep(tmp_path / "pair", keeps=(0.5, 0.25), seeds=(0,), missing=0, failed=0)
        name = next(iter(sweep.plan))
        return Run(runs_folder() / name)

    return {
        "demo": lambda: shipped("demo"),
        "demo-lm": lambda: shipped("demo-lm"),
        "tuned": lambda: tuned("after", judged(0.80, 0.70, 0.76)),
        "point": point,
        "bare": lambda: store,
        "language": lambda: put_beside(store, language)["lm"],
    }


def plain(text: object) -> str:
    """Without what Markdown needs and what only tells where a line may break."""
    return re.sub(r"\\(?=[^a-zA-Z0-9\s])|\u2060", "", str(text)).replace("\xa0", " ")


@pytest.mark.parametrize("kind", ["demo", "demo-lm", "tuned", "point", "bare", "language"])
def test_the_report_has_the_numbers_of_the_overview(kind: str, open_page: OpenPage, runs: dict[str, Make]) -> None:
    run = runs[kind]()
    state.forget_runs()
    test = open_page("overview", run=run.id, open="figures,roles,outside,size,made")
    assert not test.exception
    page = parse(html(build(run)))
    assert plain(test.title[0].value) in plain(page.text)
    assert plain(test.caption[0].value) in plain(page.text)
    _same_cards(test, page)
    said = plain(page.text)
    for found in test.get("html"):  # size, compute, speed and memory
        for value in re.findall(r"<dd[^>]*>(.*?)</dd>", str(found.proto.body)):
            if value != "not measured yet":
                assert plain(value) in said
    tables = [table.value for table in test.get("table")]
    for table in tables:
        for value in table.astype(str).to_numpy().ravel():
            if "(" in value and "%" not in value.partition("(")[0][:1]:
                assert plain(value) in said
    titles = {plain(figure.finding) for figure in build(run).figures}
    shown = {plain(text.value).strip("*") for text in test.markdown}
    assert len(titles & shown) >= (2 if "dense" not in run.metrics else 3)


def _same_cards(test: AppTest, page: Page) -> None:
    cards = {plain(label): list(map(plain, rest)) for label, rest in page.cards.items()}
    assert len(test.metric) == 4
    for metric in test.metric:
        value, *rest = cards[plain(metric.label)]
        assert value == plain(metric.value)
        if value != "not measured":
            below = [metric.delta, metric.proto.delta_description]
            assert rest == [plain(text) for text in below if text]


def test_a_report_of_a_tuned_run_and_of_a_point_say_so(runs: dict[str, Make]) -> None:
    after, point = (parse(html(build(runs[kind]()))) for kind in ("tuned", "point"))
    assert "Held-out loss 0.700 → 0.400, lowest at step 6 of 8" in after.text
    assert ["Tuned from", "sample"] in after.tables["tuned"]
    assert "Recovery after pruning" not in point.text
    assert "Quality against size" in point.text
    ways = [row[0] for row in point.tables["sweep"][1:]]
    assert sum("(this run)" in way for way in ways) == 1
    assert len(ways) == 8  # three methods and a baseline, two budgets


def test_json_of_a_page_is_what_the_job_says(store: Run, tmp_path: Path) -> None:
    worker: Any = Worker(tmp_path / "out")
    tasks.report_run({"run": "sample"}, worker)
    facts = json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    assert facts["form"] == "report"
    assert (tmp_path / "out" / facts["file"]).stat().st_size == facts["bytes"]
