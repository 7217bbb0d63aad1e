"""A run whose differences are coded: every page opens it, and the form asks for one."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.app_pages.tune import jobs as tune_jobs
from app.charts.spent import bytes_bars
from app.data.held import held_map
from app.data.live import comes_to
from app.data.payload import window_bytes
from app.forms import prune_bytes
from app.frame import state
from app.jobs.kinds import _file
from kencore import prune
from kencore.codes.table import levels_of
from kencore.errors import SpecError
from kencore.exports.subnetwork.plan import subnetwork_bytes
from kencore.exports.subnetwork.write import write_subnetwork
from kencore.live.setting import Setting
from kencore.report.build import build
from kencore.report.page import html
from kencore.runs.naming import describe
from kencore.runs.run import Run
from kencore.settings.prune import BUDGETS
from kencore.views.spent import by_role, spent
from kencore.views.tables import totals
from kencore.views.window import window
from kencore.words import cards
from kencore.words import numbers as wording
from kencore.words.compare import sizes as files_compared
from kencore.words.palette import LIGHT
from kencore.words.run import command, headline
from tests.app.app_pages.test_prune import FakeJobs, button, start, store_of_jobs  # noqa: F401 - a fixture
from tests.app.conftest import OpenPage
from tests.pruning.test_by_bytes import coded

PAGES = ("overview", "story", "map", "matrix", "row", "layers", "sparsity", "tune", "compare", "recover", "tradeoff")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coded(tmp_path_factory.mktemp("bytes"), bits=14).path


@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_it(page: str, made: Path, store: Run, open_page: OpenPage) -> None:
    shutil.copytree(made, store.path.parent / "coded")
    state.forget_runs()
    test = open_page(page, run="coded")
    assert not test.exception
    assert not test.error


def test_pages_say_changed_and_not_kept(made: Path, store: Run, open_page: OpenPage) -> None:
    shutil.copytree(made, store.path.parent / "coded")
    state.forget_runs()
    run = Run(made)
    changed = int(run.matrices.loc[run.matrices["status"] == "pruned", "kept"].sum())
    total = totals(run.matrices)
    share = wording.short_percent(changed / total.pruned)
    titles = {page: open_page(page, run="coded").title[0].value for page in ("map", "matrix", "sparsity")}
    assert titles["map"].startswith(f"{share} of {wording.count(total.pruned)} weights changed, ")
    assert " bits per weight" in titles["map"]
    assert titles["matrix"].endswith("weights changed")
    away = wording.short_percent(1 - changed / total.pruned)
    assert f"{away} of the weights stay at the base's value" in titles["sparsity"]
    kept = replace(run.spec, method="delta", bits=None, keep=0.3)
    prune(kept, out=store.path.parent / "kept", threads=1)
    state.forget_runs()
    other = open_page("compare", run="coded", other="kept")
    assert "of the weights changed by either" in other.title[0].value
    assert "Who changes what" in [header.value for header in other.header]


@pytest.mark.parametrize(
    ("page", "layer"),
    [("row", None), ("matrix", None), ("overview", None)]
    + [("layers", layer) for layer in (None, "kept", "neighbours", "difference")],
)
def test_no_word_of_a_page_says_kept(page: str, layer: str | None, made: Path, store: Run, open_page: OpenPage) -> None:
    shutil.copytree(made, store.path.parent / "coded")
    state.forget_runs()
    query = {} if layer is None else {"layer": layer}
    test = open_page(page, run="coded", **query)
    assert not test.exception
    charts = [json.loads(chart.proto.spec) for chart in test.get("plotly_chart")]
    said = [element.value for kind in (test.title, test.header, test.caption, test.markdown) for element in kind]
    said += [text for chart in charts for text in _texts(chart)]
    assert [text for text in said if re.search(r"\b[Kk]eeps?\b|\b[Kk]ept\b", text)] == []
    assert any("changed" in text.lower() for text in said)


def _texts(found: object) -> list[str]:
    """Every text of a figure that a person reads."""
    if isinstance(found, str):
        return [] if found.startswith("data:") else [found]
    if isinstance(found, dict):
        return [text for value in found.values() for text in _texts(value)]
    return [text for value in found for text in _texts(value)] if isinstance(found, list) else []


def test_the_report_and_the_command_tell_of_it(made: Path) -> None:
    page = html(build(Run(made)))
    assert "Bytes: The smallest file" in page
    assert "14 bits per weight" in page
    assert "Where the bytes went" in page
    assert "--bits 14" in command(Run(made).spec)
    assert "Changed in pruned tensors" in page
    assert "share not changed of the block" in page
    assert json.loads(held_map(Run(made))["data"])["sources"][0]["coded"]


def test_adjust_asks_a_worker_for_another_size(
    made: Path, store: Run, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(tune_jobs, "measure", lambda run, setting: asked.append(setting.text))
    shutil.copytree(made, store.path.parent / "coded")
    state.forget_runs()
    own = open_page("tune", run="coded")
    assert own.title[0].value.startswith("This run was made for 14 bits per weight: ")
    test = open_page("tune", run="coded", bits="2", layer="levels")
    assert not test.exception
    assert not test.error
    assert test.title[0].value == "The run at 2 bits per weight"
    sent = [json.loads(element.proto.json) for element in test.get("bidi_component")]
    strip = next(data for data in sent if "groups" in data)
    assert (strip["setting"]["bits"], strip["bits"], strip["balance"]) == (2, [0.01, 32], False)
    assert strip["words"]["due"] == next(data for data in sent if "view" in data)["due"]["words"]
    assert "--bits 2" in test.code[0].value
    button(test, "Measure this setting").click().run()
    assert asked == ["bits2"]
    said = comes_to(Run(made), Setting(bits=2), "")
    assert said["bytes"] == round(said["params"] / 4)


def test_the_form_asks_for_bits(open_page: OpenPage, store_of_jobs: FakeJobs) -> None:  # noqa: F811
    test = open_page("prune", method="bytes", bits="0.5")
    assert not test.exception
    assert not start(test).exception
    asked = store_of_jobs.found["job0"].params
    assert (asked["method"], asked["bits"], asked["keep"], asked["k"]) == ("bytes", 0.5, None, None)


@pytest.mark.parametrize(("name", "value"), [("bytes", "400000"), ("kl", "0.02"), ("bits", "0.1"), ("same", "0.97")])
def test_the_form_asks_for_one_of_the_sizes(
    name: str,
    value: str,
    open_page: OpenPage,
    store_of_jobs: FakeJobs,  # noqa: F811
) -> None:
    test = open_page("prune", model="demo", method="bytes", **{name: value})
    assert not test.exception
    assert not start(test).exception
    asked = store_of_jobs.found["job0"].params
    assert {one: asked[one] for one in BUDGETS if asked[one] is not None} == {name: float(value)}


def test_the_size_of_the_file_is_said_before_it_is_made(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_bytes, "weights", lambda subject: 1_435_522)
    test = open_page("prune", model="demo", method="bytes", bits="0.8")
    said = " ".join(caption.value for caption in test.caption)
    assert f"at most {wording.size(143_552)} for {wording.count(1_435_522)} weights" in said


def test_a_share_of_same_answers_is_typed_in_percent(
    open_page: OpenPage,
    store_of_jobs: FakeJobs,  # noqa: F811
) -> None:
    test = open_page("prune", model="demo", method="bytes", same="0.975")
    typed = test.number_input(key="prune_same")
    assert (typed.label, typed.value, typed.min, typed.max) == ("Same answers, %", 97.5, 50, 100)
    typed.set_value(99.1)
    assert not start(test).exception
    assert store_of_jobs.found["job0"].params["same"] == 0.991


def test_bits_of_the_whole_file_are_those_that_were_asked_for(made: Path, tmp_path: Path) -> None:
    run = Run(made)
    size = write_subnetwork(run, tmp_path / "file").stat().st_size
    card = cards.kept(run.spec, totals(run.matrices), size)
    assert 0.9 * 14 < float(card.value) <= 14
    assert float(card.value) == pytest.approx(8 * size / run.totals["params"], rel=5e-3)
    alone = cards.kept(run.spec, totals(run.matrices))
    assert float(alone.value) < float(card.value)
    assert f"{alone.value} without names" in card.explained


def test_the_page_and_the_report_say_what_ordered_codes(made: Path, store: Run, open_page: OpenPage) -> None:
    run = Run(made)
    assert run.record["ordered"] == {"by": "rule"}  # nothing was measured
    shutil.copytree(made, store.path.parent / "coded")
    test = open_page("overview", run="coded")
    assert any(one.value.endswith("Codes are ordered by the rule.") for one in test.caption)
    assert "Codes are ordered by the rule." in html(build(run))


def test_where_the_bytes_went_adds_up_to_the_file(made: Path, tmp_path: Path) -> None:
    run = Run(made)
    found = spent(run)
    file = write_subnetwork(run, tmp_path / "it.safetensors", False, lambda *_: None)
    assert found.whole == file.stat().st_size
    assert by_role(found)["bytes"].sum() == found.matrices["bytes"].sum()
    coded = found.matrices.set_index("name").loc[list(run.codes), ["symbols", "scales"]].sum(axis=1)
    assert {name: len(one.data) for name, one in run.codes.items() if one.data} == coded[coded > 0].to_dict()
    chart = bytes_bars(found, LIGHT)
    assert sum(trace.x.sum() for trace in chart.figure.data) * 1000 == pytest.approx(found.whole)


def test_levels_are_a_layer_of_a_coded_run_alone(made: Path, store: Run) -> None:
    run = Run(made)
    name = next(name for name in run.pruned if run.shape(name)[0] > 8 and name in run.codes)
    exact = window(run, name, "levels").data
    assert (exact == levels_of(run.codes[name])).all()
    rows, cols = run.shape(name)
    coarse = window(run, name, "levels", cell=(4, 8)).data
    assert coarse[0, 0] == pytest.approx(np.abs(exact[:4, :8]).mean())
    assert coarse[-1, -1] == pytest.approx(np.abs(exact[(rows - 1) // 4 * 4 :, (cols - 1) // 8 * 8 :]).mean())
    with pytest.raises(SpecError, match="layer"):
        window(store, store.pruned[0], "levels")


def test_the_browser_gets_the_level_of_each_weight(made: Path) -> None:
    run = Run(made)
    name = next(name for name in run.pruned if run.shape(name)[0] > 8 and name in run.codes)
    sent = window_bytes(run, name, "kept", {"r0": 2, "r1": 6, "c0": 0, "c1": 5})
    length = int.from_bytes(sent[4:8], "little")
    header = json.loads(sent[8 : 8 + length])
    plane = next(plane for plane in header["planes"] if plane["name"] == "levels")
    found = np.frombuffer(sent, "<f4", 20, 8 + length + plane["offset"]).reshape(4, 5)
    assert (found == levels_of(run.codes[name])[2:6, :5]).all()


def test_a_coded_run_is_called_by_its_bytes(made: Path) -> None:
    run = Run(made)
    title = headline(run.spec, totals(run.matrices), run.metrics, 123_400)
    assert title.startswith("Bytes stores the change of ")
    assert "in 123\u00a0kB" in title
    asked = {"model": "demo", "method": "bytes"}
    said = [describe(asked | budget) for budget in ({"bits": 0.25}, {"bytes": 1_250_000}, {"kl": 0.01})]
    assert said == [f"{describe(asked | {'keep': 0.5})[:-4]}{end}" for end in ("0.25 bits", "in 1.25 MB", "KL 0.01")]


def test_two_files_are_compared_in_one_sentence() -> None:
    sizes = [{"bytes_subnetwork": 1_200_000}, {"bytes_subnetwork": 200_000}]
    said = files_compared(["KEN", "Bytes"], sizes)
    assert said == "KEN takes 1.2\u00a0MB, Bytes 200\u00a0kB: the file of Bytes is 6 times smaller."
    assert files_compared(["KEN", "Bytes"], [{"bytes_subnetwork": None}, sizes[1]]) is None


def test_a_finished_job_says_how_large_the_file_is(made: Path) -> None:
    run = Run(made)
    assert _file(run) == f"Its subnetwork file has {wording.size(subnetwork_bytes(run))}."  # measured on nothing
    run.metrics = {"pruned": {"accuracy": 0.5, "versus_dense": {"kl": 0.01, "same_answer": 0.97}}}
    said = _file(run).replace("\xa0", " ")
    assert said.endswith("97.0 % of sentences get the dense model's answer; mean KL from it: 0.01 nats (0: the same).")
