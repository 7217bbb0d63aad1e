"""What cannot be used, typed into the form: a message with what to do at every step, and nothing typed is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from kencore.jobs import tasks
from kencore.jobs.worker.failures import to_error
from tests.app.app_pages.test_prune import button
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs
from tests.support.bad_models import BAD

WORK: dict[str, Callable[..., None]] = {"inspect": tasks.inspect_pair, "prune": tasks.prune_pair}


class Worker:
    """What the real tasks need of a job's context."""

    threads = 1

    def __init__(self, out: Path) -> None:
        self.out, self.shared = out, out.parent / "not split"

    def progress(self, done: float, total: float, message: str) -> None:
        """Nobody looks."""

    def set_device(self, device: str) -> None:
        """Nobody asks."""


def work(store_of_jobs: FakeJobs) -> None:
    """Do what was submitted, here, with the worker's own functions; failures as it tells them."""
    for job in list(store_of_jobs.found.values()):
        context = Worker(store_of_jobs.result(job.id))
        if job.kind == "inspect":  # a run makes its own folder
            context.out.mkdir(parents=True)
        try:
            WORK[job.kind](job.params, context)
        except Exception as error:  # noqa: BLE001 - as the worker does
            store_of_jobs.change(job.id, state="failed", error=to_error(error), finished=1.0)
        else:
            store_of_jobs.change(job.id, state="succeeded", started=1.0, finished=2.0)


@pytest.fixture(autouse=True)
def typed_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A box sends what was typed into it, as in a browser; AppTest knows what it offers alone."""

    def sent(box: Selectbox[Any]) -> WidgetState:
        state = WidgetState(id=box.id)
        if box.value is not None:
            state.string_value = str(box.format_func(box.value))
        return state

    monkeypatch.setattr(Selectbox, "_widget_state", property(sent))


def said(test: AppTest) -> list[str]:
    return [text.value.replace("\\", "").replace("\u2060", "") for text in (*test.error, *test.caption)]


@pytest.mark.parametrize("kind", BAD)
def test_inspect_and_start_say_what_to_do(
    kind: str, open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_of_jobs = FakeJobs(tmp_path / "results").install(monkeypatch)
    bad = BAD[kind]
    typed = {name: text for name, text in bad.make(tmp_path).items() if text}
    address: dict[str, Any] = {"method": "magnitude", "device": "cpu", **typed}
    if "base" not in typed:
        address["allocation"] = "uniform"
    test = open_page("prune", **address)
    button(test, "Inspect").click().run()
    button(test, "Start pruning").click().run()
    assert [job.kind for job in store_of_jobs.found.values()] == ["inspect", "prune"]
    work(store_of_jobs)
    test.run()
    assert not test.exception
    look, pruning = (store_of_jobs.found[job] for job in ("job0", "job1"))
    assert pruning.state == "failed"
    error = pruning.error
    assert error is not None
    assert (error["type"], bool(error["wanted"]), bool(error["remedy"])) == (bad.error, True, True)
    assert any(bad.said in text and error["remedy"] in text for text in said(test))
    assert (look.state == "failed") == (not bad.noted)
    if bad.noted:  # the look went through, and told it
        found = (store_of_jobs.result("job0") / "result.json").read_text("utf-8")
        assert bad.noted in found
        assert any(bad.noted in text for text in said(test))
        assert len(test.error) == 1 + ('"problem": {' in found)
    assert not list(Path(tmp_path / "results" / "job1").glob("*"))
    assert test.text_input(key="prune_model").value == typed["model"]
    if "base" in typed:
        assert test.text_input(key="prune_base").value == typed["base"]
    if "evaluation" in typed:
        assert test.query_params["evaluation"] in (typed["evaluation"], [typed["evaluation"]])
