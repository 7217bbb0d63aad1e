"""Pages of a server for several people: what each is shown, and what they can press."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import shell
from app.app_pages.runs import parts
from app.frame import state
from kencore.runs.run import Run
from kencore.system import roots
from tests.app.conftest import OpenPage
from tests.app.server_mode import put_run
from tests.support.people import looking


@pytest.fixture
def ann(store: Run, home: Path, sample: Path) -> Iterator[None]:
    for name, owner, shared in (("anns", "ann", False), ("bens", "ben", False), ("lent", "ben", True)):
        put_run(home, sample, name, owner, shared=shared)
    state.forget_runs()
    with looking("ann"):
        yield
    state.forget_runs()


def labels(page: object) -> list[str]:
    return [str(option) for option in page.sidebar.selectbox[0].options]  # type: ignore[attr-defined]


@pytest.mark.usefixtures("ann")
def test_the_box_offers_what_one_may_see_and_says_who_one_is(open_page: OpenPage) -> None:
    page = open_page("runs")
    assert not page.exception
    offered = " ".join(labels(page))
    assert "called anns" in offered
    assert "called lent" in offered
    assert "called bens" not in offered
    assert any("ann" in caption.value for caption in page.sidebar.caption)
    shown = page.dataframe[0].value
    assert set(shown["Run"]) >= {"called anns", "called lent"}
    assert "called bens" not in set(shown["Run"])


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("name", ["overview", "matrix", "compare"])
def test_another_ones_run_in_an_address_is_not_there(open_page: OpenPage, name: str) -> None:
    page = open_page(name, run="bens")
    said = " ".join(error.value for error in page.error)
    assert "no such run in the store" in said
    assert "called bens" not in said


@pytest.mark.usefixtures("ann")
def test_one_shares_their_own_runs_alone(open_page: OpenPage, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = ["anns"]
    monkeypatch.setattr(parts, "table", lambda lines: [line for line in lines if line.found.id in chosen])
    page = open_page("runs")
    [switch] = [toggle for toggle in page.toggle if "Shared" in toggle.label]
    assert not switch.value
    switch.set_value(True).run()
    assert json.loads((home / "runs" / "anns" / "label.json").read_text())["shared"] is True
    for name in ("lent", "sample"):
        chosen[:] = [name]
        page = open_page("runs")
        assert not [toggle for toggle in page.toggle if "Shared" in toggle.label]
        assert not [button for button in page.button if button.label.startswith("Delete")]


def test_on_ones_own_machine_nothing_is_shared(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "table", lambda lines: lines)
    page = open_page("runs")
    assert not [toggle for toggle in page.toggle if "Shared" in toggle.label]
    assert [button for button in page.button if button.label.startswith("Delete")]


@pytest.mark.usefixtures("ann")
def test_the_model_field_offers_what_lies_in_the_folders(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / "one"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.setenv(roots.ROOTS, json.dumps([str(tmp_path / "models")]))
    page = open_page("prune", model="somebody/else", base="")
    assert not page.exception
    [field] = [box for box in page.selectbox if box.label == "Tuned model"]
    assert field.options == [str(folder), "somebody/else"]
    assert field.value == "somebody/else"
    field.set_value(str(folder)).run()
    assert not page.exception
    assert page.session_state["prune_model"] == str(folder)


def test_of_a_great_many_runs_some_are_offered(
    open_page: OpenPage, home: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        put_run(home, sample, f"r{number}", None)
    state.forget_runs()
    monkeypatch.setattr(shell, "MOST", 2)
    monkeypatch.setattr(parts, "MOST", 3)
    page = open_page("runs")
    assert len(labels(page)) == 2
    assert len(page.dataframe[0].value) == 3
    last = shell.state.runs()[-1].id
    assert len(labels(open_page("runs", run=last))) == 3
    [every] = [toggle for toggle in page.toggle if toggle.label == "Show all"]
    every.set_value(True).run()
    assert len(page.dataframe[0].value) == 6
