"""The tune page: settings of links, what the sliders are given, and what the map is told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from app.app_pages.tune import jobs as tune_jobs
from app.app_pages.tune import strip as tune_strip
from app.data.routes import routes
from kencore.live.setting import Setting, budgets
from kencore.methods.select import select_rows
from kencore.runs.run import Run
from tests.app.app_pages.test_prune import button
from tests.app.conftest import OpenPage
from tests.app.data.test_answers import decode

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48


@pytest.fixture
def client(store: Run) -> TestClient:
    return TestClient(Starlette(routes=routes()))


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No worker is started: settings that would be measured are noted."""
    asked: list[str] = []

    def note(run: Run, setting: Setting) -> str:
        asked.append(setting.text)
        return "none"

    monkeypatch.setattr(tune_jobs, "measure", note)
    return asked


def components(test: AppTest) -> dict[str, dict[str, Any]]:
    """What the page sent to the sliders and to the map."""
    found = [json.loads(element.proto.json) for element in test.get("bidi_component")]
    strip = next(data for data in found if "groups" in data)
    return {"strip": strip, "map": next(data for data in found if "view" in data)}


def test_without_a_setting_the_run_s_own_is_shown(open_page: OpenPage, quiet: list[str]) -> None:
    test = open_page("tune", matrix=UP)
    assert not test.exception
    found = components(test)
    assert found["strip"]["text"] == found["strip"]["own"] == "0.5"
    assert found["map"]["sources"][0]["query"] == {}
    assert quiet == []


def test_a_link_opens_its_setting(open_page: OpenPage, quiet: list[str]) -> None:
    test = open_page("tune", matrix=UP, keep=0.25, rule="delta", eq="q*2~b1*0.5")
    assert not test.exception
    assert not test.error
    found = components(test)
    setting = found["strip"]["setting"]
    assert (setting["keep"], setting["rule"]) == (0.25, "delta")
    assert setting["balance"] == {"q": 2.0, "b1": 0.5}
    text = "0.25~rule*delta~b1*0.5~q*2"
    assert found["map"]["sources"][0]["query"] == {"live": text}
    assert "25" in test.title[0].value
    assert quiet == []  # an address alone measures nothing
    button(test, "Measure this setting").click().run()
    assert quiet == [text]
    command = test.code[0].value
    assert "--keep 0.25" in command
    assert "--balance q=2" in command
    assert "--method delta" in command


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"keep": "2"}, "above 0 and up to 1"),
        ({"keep": "x"}, "how much is kept"),
        ({"eq": "zz*2"}, "some of"),
        ({"eq": "q"}, "a balance"),
        ({"k": "0"}, "1 or more"),
        ({"rule": "wanda"}, "one of ken"),
        ({"slope": "0.1"}, "neuroal"),
    ],
)
def test_a_bad_setting_is_said_and_the_run_s_own_shown(open_page: OpenPage, query: dict[str, str], wanted: str) -> None:
    test = open_page("tune", matrix=UP, **query)
    assert not test.exception
    assert wanted in test.error[0].value
    assert components(test)["strip"]["text"] == "0.5"


def test_the_sliders_name_every_role_and_block(open_page: OpenPage) -> None:
    strip = components(open_page("tune", matrix=UP))["strip"]
    names = {group["title"]: [name for name, _, _ in group["names"]] for group in strip["groups"]}
    assert names["Blocks"] == ["b0", "b1", "b2", "b3"]
    assert {"q", "up", "embedding"} <= set(names["Roles"])
    assert all(label for group in strip["groups"] for _, _, label in group["names"])


def test_a_window_of_a_setting_is_a_fresh_selection(client: TestClient, store: Run) -> None:
    text = "0.3~rule*delta~up*1.5"
    params = {"run": "sample", "matrix": UP, "live": text, "layer": "neighbours"}
    answer = client.get("/kenviz/window", params=params)
    for _ in range(50):
        if answer.status_code != 503:
            break
        answer = client.get("/kenviz/window", params=params)
    assert answer.status_code == 200
    _, planes = decode(answer.content)
    budget = budgets(store, Setting.from_text(text))[UP]
    wanted = select_rows(store.values(UP), store.values(UP, "base"), budget, "delta")
    np.testing.assert_array_equal(planes["kept"].astype(bool), wanted)
    one = {"run": "sample", "matrix": UP, "live": text, "row": 2, "col": 3}
    cell = client.get("/kenviz/cell", params=one).json()
    assert (cell["kept"], cell["row_kept"]) == (bool(wanted[2, 3]), int(budget[2]))
    csv = client.get("/kenviz/window.csv", params={"run": "sample", "matrix": UP, "live": text})
    assert sum(line.split(",")[5] == "1" for line in csv.text.splitlines()[1:]) == wanted.sum()


def test_what_a_setting_comes_to(client: TestClient, store: Run) -> None:
    found = client.get("/kenviz/setting", params={"run": "sample", "live": "0.5", "matrix": UP})
    said = found.json()
    assert (said["kept"], said["bytes_stored"] > 0) == (store.totals["kept"], True)
    assert said["matrix"] == int(store.matrix(UP)["kept"])
    faded = client.get("/kenviz/setting", params={"run": "sample", "live": "0.5~q*2"}).json()
    assert faded["kept"] == faded["asked"] == said["kept"]
    assert faded["shares"]["q"] > said["shares"]["q"]


@pytest.mark.parametrize("live", ["x", "0.5~zz*2", "3"])
def test_a_setting_that_cannot_be_is_refused(client: TestClient, live: str) -> None:
    for path in ("setting", "window"):
        answer = client.get(f"/kenviz/{path}", params={"run": "sample", "matrix": UP, "live": live})
        assert answer.status_code == 400
        assert answer.json()["type"] == "SpecError"


def test_a_job_that_is_not_there_is_said(client: TestClient) -> None:
    answer = client.get("/kenviz/window", params={"run": "sample", "matrix": UP, "made": "gone"})
    assert answer.status_code == 404
    both = {"run": "sample", "matrix": UP, "made": "gone", "live": "0.5"}
    assert client.get("/kenviz/window", params=both).status_code == 400


def test_resting_sliders_write_the_address(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    test = open_page("tune", matrix=UP)
    monkeypatch.setattr(tune_strip, "rested", lambda: "0.2~q*2")
    from app.app_pages.tune import parts as tune_parts

    written: dict[str, object] = {}
    monkeypatch.setattr(tune_parts.links, "write", lambda **query: written.update(query))
    tune_parts.take_rest(Run(_sample(test)))
    assert (written["keep"], written["eq"], written["k"]) == ("0.2", "q*2", None)
    monkeypatch.setattr(tune_strip, "rested", lambda: "0.5")
    tune_parts.take_rest(Run(_sample(test)))
    assert written["keep"] is None  # the run's own setting needs no words


def _sample(test: AppTest) -> Any:
    from kencore.runs.shelf import find_stored_run

    del test
    return find_stored_run("sample")


@pytest.mark.parametrize(("reason", "ready"), [(None, []), ("it searches", ["worker"])])
def test_a_worker_is_made_ready_where_another_setting_needs_one(
    reason: str | None, ready: list[str], open_page: OpenPage, made_ready: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kencore.live.ranking.why_not_live", lambda *_: reason)
    assert not open_page("tune", matrix=UP).exception
    assert made_ready == ready
