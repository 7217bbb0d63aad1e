"""Exports: prepared by a job, sent in pieces, and nothing else of the machine is handed out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from app.data.routes import routes
from kencore.exports.subnetwork.open import open_subnetwork
from kencore.jobs import tasks
from kencore.runs.run import Run
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs


@pytest.fixture
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path / "results").install(monkeypatch)


class Worker:
    """What the real task needs of a job's context."""

    def __init__(self, out: Path) -> None:
        self.out = out
        out.mkdir(parents=True)

    def progress(self, done: float, total: float, message: str) -> None:
        """Nobody looks."""


def export(store_of_jobs: FakeJobs, form: str) -> str:
    """A finished export job of the run ``sample``, made by the worker's own function."""
    params = {"run": "sample", "form": form}
    job = store_of_jobs.submit("export", params)
    tasks.export_run(params, Worker(store_of_jobs.result(job)))  # type: ignore[arg-type]
    store_of_jobs.change(job, state="succeeded", started=1.0, finished=2.0)
    return job


def prepare(test: AppTest, form: str) -> AppTest:
    return test.button(key=f"export-{form}").click().run()


def links_of(test: AppTest) -> list[Any]:
    return [element.proto for element in test.get("link_button")]


def test_a_file_is_prepared_once_and_then_downloaded(open_page: OpenPage, store: Run, store_of_jobs: FakeJobs) -> None:
    test = prepare(open_page("overview", open="export"), "subnetwork")
    assert not test.exception
    assert [(job.kind, job.params) for job in store_of_jobs.found.values()] == [
        ("export", {"run": "sample", "form": "subnetwork"})
    ]
    assert test.query_params["export"] == "job0"
    assert {"export-folder", "export-masks"} <= {button.key for button in test.button}
    assert "export-subnetwork" not in {button.key for button in test.button}
    assert not links_of(test)
    result = store_of_jobs.result("job0")
    params = dict(store_of_jobs.found["job0"].params)
    tasks.export_run(params, Worker(result))  # type: ignore[arg-type]
    store_of_jobs.change("job0", state="succeeded", started=1.0, finished=2.0)
    test.run()
    assert not test.exception
    assert [link.url for link in links_of(test)] == ["/kenviz/export?job=job0"]


def test_the_download_is_the_file_and_gives_the_model_back(store: Run, store_of_jobs: FakeJobs, tmp_path: Path) -> None:
    job = export(store_of_jobs, "subnetwork")
    client = TestClient(Starlette(routes=routes()))
    answer = client.get(f"/kenviz/export?job={job}")
    assert answer.status_code == 200
    name = "sample.subnetwork.safetensors"
    assert name in answer.headers["content-disposition"]
    assert answer.content == (store_of_jobs.result(job) / name).read_bytes()
    (tmp_path / name).write_bytes(answer.content)
    found, wanted = open_subnetwork(tmp_path / name), store.apply()
    assert found.keys() == wanted.keys()
    assert all(found[key].equal(wanted[key]) for key in wanted)
    part = client.get(f"/kenviz/export?job={job}", headers={"Range": "bytes=8-71"})
    assert (part.status_code, part.content) == (206, answer.content[8:72])


def test_a_folder_is_named_and_not_sent(open_page: OpenPage, store: Run, store_of_jobs: FakeJobs) -> None:
    job = export(store_of_jobs, "folder")
    test = open_page("overview", export=job)
    assert not test.exception
    place = store_of_jobs.result(job) / "sample-pruned"
    assert str(place) in [code.value for code in test.code]
    assert (place / "model.safetensors").is_file()
    assert not links_of(test)
    answer = TestClient(Starlette(routes=routes())).get(f"/kenviz/export?job={job}")
    assert answer.status_code == 404
    assert answer.json()["got"] == "a folder"


def test_packed_masks_are_offered_and_are_the_masks(open_page: OpenPage, store: Run, store_of_jobs: FakeJobs) -> None:
    test = prepare(open_page("overview", open="export"), "packed-masks")
    assert store_of_jobs.found["job0"].params == {"run": "sample", "form": "packed-masks"}
    tasks.export_run(store_of_jobs.found["job0"].params, Worker(store_of_jobs.result("job0")))  # type: ignore[arg-type]
    store_of_jobs.change("job0", state="succeeded", started=1.0, finished=2.0)
    test.run()
    assert not test.exception
    assert [link.url for link in links_of(test)] == ["/kenviz/export?job=job0"]
    answer = TestClient(Starlette(routes=routes())).get("/kenviz/export?job=job0")
    found = load(answer.content)
    assert found.keys() == set(store.pruned)
    for name, bits in found.items():
        keep = store.keep(name)
        assert (np.unpackbits(bits, count=keep.size, bitorder="little").reshape(keep.shape) == keep).all()


def test_what_an_export_left_behind_is_shown(open_page: OpenPage, store: Run, store_of_jobs: FakeJobs) -> None:
    (Path(store.spec.model) / "own.py").write_text("0")
    try:
        test = open_page("overview", export=export(store_of_jobs, "folder"))
    finally:
        (Path(store.spec.model) / "own.py").unlink()
    assert not test.exception
    assert ":material/info: Left behind: own.py (code is not copied)." in [text.value for text in test.caption]


def test_nothing_else_is_handed_out(store: Run, store_of_jobs: FakeJobs) -> None:
    client = TestClient(Starlette(routes=routes()))
    other = store_of_jobs.submit("inspect", {"model": "demo"})
    store_of_jobs.change(other, state="succeeded")
    result = store_of_jobs.result(other)
    result.mkdir(parents=True)
    (result / "result.json").write_text(json.dumps({"form": "masks", "file": "/etc/passwd"}))
    for job in (other, "nobody", "../../etc"):
        answer = client.get("/kenviz/export", params={"job": job})
        assert answer.status_code == 404, job
    job = export(store_of_jobs, "masks")
    written = store_of_jobs.result(job) / "result.json"  # a name can lead nowhere else
    written.write_text(json.dumps({"form": "masks", "file": "/etc/passwd", "bytes": 1}))
    assert client.get(f"/kenviz/export?job={job}").status_code == 404
    assert client.get("/kenviz/export").status_code == 400


def test_a_job_that_is_gone_is_said_once(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:
    test = open_page("overview", export="nobody")
    assert not test.exception
    assert len(test.error) == 1
    assert len([button for button in test.button if button.label == "Prepare"]) == 6


def test_looking_at_a_run_of_a_hub_fetches_nothing(
    open_page: OpenPage, store: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads((store.path / "record.json").read_text("utf-8"))
    record["sources"]["tuned"] = {"text": "org/model", "revision": "abc"}
    (store.path / "record.json").write_text(json.dumps(record))

    def fetched(*_: object, **__: object) -> None:
        raise AssertionError("a page asked for a model")

    monkeypatch.setattr("kencore.checkpoint.source.resolve", fetched)
    test = open_page("overview", open="size,export")
    assert not test.exception
    assert any("about " in str(element.proto.body) for element in test.get("html"))
    test = open_page("recover")
    assert not test.exception
    assert test.text_input(key="recover_data_sentences").value == ""
