"""The explain page: one job for a sentence, what it shows of it, links good and bad."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from kencore.runs.run import Run
from tests.app.app_pages.test_prune import button
from tests.app.conftest import OpenPage
from tests.app.explanations import NAME, finish
from tests.app.fake_jobs import FakeJobs


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path / "results").install(monkeypatch)


def words(test: AppTest) -> str:
    return " ".join(element.value for element in [*test.markdown, *test.caption])


@pytest.fixture
def open_asked(open_page: OpenPage) -> OpenPage:
    """The page as somebody has it who clicked."""

    def opened(page: str, **query: object) -> AppTest:
        test = open_page(page, **query)
        return button(test, "Ask").click().run() if offers(test) else test

    return opened


def offers(test: AppTest) -> bool:
    return any(found.value.startswith("Press Ask") for found in test.caption)


def test_an_address_alone_asks_nothing(open_page: OpenPage, store: Run, asked: FakeJobs) -> None:
    test = open_page("explain", text="good film", block=1)
    test.run()
    assert not test.exception
    assert not asked.found
    assert test.text_input(key="explain_text").value == "good film"
    button(test, "Ask").click().run()
    assert [job.params["text"] for job in asked.found.values()] == ["good film"]
    finish(asked, "job0", store)
    assert not offers(open_page("explain", text="good film", block=1))  # found again, by anybody


def test_the_click_that_leads_to_the_page_asks(open_page: OpenPage, asked: FakeJobs) -> None:
    test = open_page("overview")
    assert not asked.found
    test.switch_page("app_pages/explain/page.py").run()
    assert not test.exception
    assert len(asked.found) == 1


def test_a_sentence_is_one_job_and_its_answer_is_shown(
    open_page: OpenPage, open_asked: OpenPage, store: Run, asked: FakeJobs
) -> None:
    test = open_asked("explain", text="good film")
    again = open_page("explain", text="good film")  # another tab
    assert not again.exception
    assert [job.params["text"] for job in asked.found.values()] == ["good film"]
    assert test.title[0].value == "Explain one prediction"
    finish(asked, "job0", store)
    test.run()
    assert not test.exception
    assert test.title[0].value.replace("\xa0", " ") == (
        "Pruning changed the answer: “negative” (70 %) became “positive” (60 %)"
    )
    assert len(test.get("plotly_chart")) == 6
    assert "“negative” fell from 70.0 % to 40.0 %" in words(test).replace("\xa0", " ")
    assert "1 unknown to the tokenizer" in words(test)
    assert "the last 2 left out" in words(test)
    assert test.number_input(key="explain_neuron").value == 7


def test_typing_another_sentence_goes_into_the_address(open_asked: OpenPage, store: Run, asked: FakeJobs) -> None:
    test = open_asked("explain")
    assert len(asked.found) == 1
    test.text_input(key="explain_text").set_value("**bold** <b>film</b>")
    button(test, "Ask").click().run()
    assert test.query_params["text"] == "**bold** <b>film</b>"
    assert asked.found["job1"].params["text"] == "**bold** <b>film</b>"
    test.text_input(key="explain_text").set_value("   ")
    button(test, "Ask").click().run()
    assert "text" not in test.query_params
    assert not test.exception


def test_neuron_and_token_are_in_the_address(open_asked: OpenPage, store: Run, asked: FakeJobs) -> None:
    test = open_asked("explain", text="x")
    found = finish(asked, "job0", store)
    test.run()
    test.number_input(key="explain_neuron").set_value(3).run()
    test.selectbox(key="explain_token").set_value(2).run()
    assert not test.exception
    query = {name: test.query_params[name] for name in ("matrix", "neuron", "token")}
    assert query == {"matrix": NAME, "neuron": "3", "token": "2"}
    parts = found.contributions(store, NAME, 3, 2)
    assert f"{parts.dense:.3g}".replace("-", "−") in words(test)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"neuron": 96}, "0 to 95"),
        ({"neuron": "x"}, "'x'"),
        ({"token": 4}, "0 to 3"),
        ({"matrix": "nobody"}, "nobody"),
        ({"block": 9}, "0 to 1"),
        ({"text": "a" * 2001}, "2,000"),
        ({"run": "nobody"}, "no such run"),
    ],
)
def test_bad_links_are_messages_and_the_page_goes_on(
    open_asked: OpenPage, store: Run, asked: FakeJobs, query: dict[str, object], said: str
) -> None:
    test = open_asked("explain", **({"text": "x"} | query))
    if asked.found:
        finish(asked, "job0", store)
        test.run()
    assert not test.exception
    assert said in test.error[0].value
    if {"neuron", "token", "matrix", "block"} & query.keys():
        assert test.selectbox(key="explain_matrix").options


def test_a_block_that_was_too_much_is_asked_alone(open_asked: OpenPage, store: Run, asked: FakeJobs) -> None:
    other = NAME.replace("layer.1", "layer.2")
    test = open_asked("explain", text="x", matrix=other)
    finish(asked, "job0", store, left_out=other)
    test.run()
    assert not test.exception
    assert asked.found["job1"].params["block"] == 2


def test_a_failed_sentence_says_why_and_can_be_asked_again(open_asked: OpenPage, store: Run, asked: FakeJobs) -> None:
    test = open_asked("explain", text="x")
    error = {
        "subject": "Model gone",
        "got": "no such folder",
        "wanted": "a folder with a model",
        "remedy": "Check the path.",
    }
    asked.change("job0", state="failed", error=error)
    test.run()
    assert "no such folder" in test.error[0].value
    assert len(asked.found) == 1  # it is not asked again by itself
    asked.keys.clear()  # as the store does for jobs that failed
    button(test, "Ask again").click().run()
    assert len(asked.found) == 2


def test_a_large_model_waits_for_a_click(
    open_page: OpenPage, store: Run, asked: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.parts import explain_ask

    monkeypatch.setattr(explain_ask, "AT_ONCE_BYTES", 10)
    test = open_page("explain", text="x")
    assert not asked.found
    button(test, "Ask").click().run()
    assert len(asked.found) == 1


def test_the_wait_says_what_is_done_and_for_how_long(
    open_asked: OpenPage, store: Run, asked: FakeJobs, made_ready: list[str]
) -> None:
    test = open_asked("explain", text="x")
    assert made_ready == ["worker"]  # while the page waited for the click
    assert "the last time" not in words(test)
    asked.change("job0", state="running", message="Loading the model", done=1, total=4, started=time.time() - 3)
    test.run()
    assert test.get("progress")[0].proto.text == "Loading the model"
    assert "25 %" in words(test)
    asked.change("job0", seconds_left=20.0)
    test.run()
    assert "about 20 s left" in words(test)
    asked.change("job0", state="succeeded", created=100.0, finished=112.0)
    other = open_asked("explain", text="y")
    assert "about 12 s the last time" in words(other)
