"""The overview: the run in one sentence, its numbers and tables, links good and bad."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from kencore.runs.run import Run
from kencore.views import tables as summaries
from tests.app.charts.test_quality import measured
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs


def charts(test: AppTest) -> list[dict[str, Any]]:
    return [json.loads(element.proto.spec) for element in test.get("plotly_chart")]


def measure(store: Run, **rest: Any) -> None:
    """Give the run a measurement."""
    metrics = {
        "data": "demo",
        "examples": 400,
        "dense": measured(0.792),
        "pruned": measured(0.784),
        "base": measured(0.51),
    } | rest
    (store.path / "metrics.json").write_text(json.dumps(metrics))


def test_without_a_measurement_it_says_how_to_get_one(open_page: OpenPage) -> None:
    test = open_page("overview")
    assert not test.exception
    title = test.title[0].value.replace("\xa0", " ")
    assert title == "KEN keeps 50.1 % of 86.5 k weights; quality was not measured"
    assert "evaluate sample --data" in test.code[0].value
    assert [metric.value for metric in test.metric][2:] == ["not measured", "not measured"]


def test_measuring_now_is_one_job_that_fills_the_page(
    open_page: OpenPage, store: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeJobs(tmp_path).install(monkeypatch)
    test = open_page("overview")
    ask = next(button for button in test.button if button.label == "Measure now")
    assert ask.disabled
    test.text_input(key="overview_data").set_value("/data/sentences.tsv").run()
    for _ in range(2):
        next(button for button in test.button if button.label == "Measure now").click().run()
    assert not test.exception
    assert [(job.kind, job.params) for job in fake.found.values()] == [
        ("evaluate", {"model": "sample", "examples": "/data/sentences.tsv", "baselines": True, "save": True})
    ]
    measure(store)
    fake.change("job0", state="succeeded", started=1.0, finished=2.0)
    test.run()
    assert test.title[0].value.endswith("accuracy 79.2\xa0% → 78.4\xa0%")


def test_with_a_measurement_before_and_after_are_in_the_title(open_page: OpenPage, store: Run) -> None:
    measure(store, baselines={"delta": measured(0.79), "random": measured(0.77)})
    test = open_page("overview")
    assert not test.exception
    assert test.title[0].value.endswith("accuracy 79.2\xa0% → 78.4\xa0%")
    accuracy, best = test.metric[2], test.metric[3]
    assert (accuracy.value, accuracy.delta) == ("79.2 → 78.4\xa0%", "0.8 points lower")
    assert (best.value, best.delta) == ("79.0\xa0%", "0.6 points better")
    assert len(charts(test)) == 2


def test_every_measure_has_its_figures_and_its_chart(open_page: OpenPage, store: Run) -> None:
    figures = measured(0.784) | {
        "f1_binary": 0.77,
        "f1_weighted": 0.78,
        "f1_macro_low": 0.74,
        "f1_macro_high": 0.82,
        "versus_dense": {"lost": 12, "won": 9, "mcnemar_p": 0.66},
    }
    dense = measured(0.792) | {"f1_binary": 0.79, "f1_weighted": 0.79}
    measure(store, pruned=figures, dense=dense)
    test = open_page("overview", open="figures")
    table = test.table[0].value
    assert table.index.tolist() == ["Accuracy", "F1", "Macro F1", "Weighted F1", "Loss (nats)"]
    assert table["This run"].str.replace("[\xa0\u2060]", "", regex=True).tolist() == [
        "78.4% (76.4–80.4)",
        "77.0%",
        "78.4% (74.0–82.0)",
        "78.0%",
        "0.500",
    ]
    assert any("lost 12 of 400 sentences, won 9" in text.value for text in test.markdown)
    assert any("Accuracy 79.2" in text.value for text in test.markdown)
    test.get_by_key("choose_score").set_value("f1_binary").run()
    assert test.query_params["score"] == "f1_binary"
    assert any(text.value.startswith("**F1 79.0") for text in test.markdown)
    assert "beauty" in open_page("overview", score="beauty").error[0].value


def test_runs_from_before_there_were_costs_say_so(open_page: OpenPage, store: Run) -> None:
    measure(store)
    test = open_page("overview", open="size")
    assert not test.exception
    cards = " ".join(element.proto.body for element in test.get("html"))
    assert cards.count("not measured yet") == 3
    assert any("measured along with quality" in text.value for text in test.caption)


def test_without_baselines_they_can_be_measured(
    open_page: OpenPage, store: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeJobs(tmp_path).install(monkeypatch)
    measure(store, data="/data/my sentences.tsv")
    test = open_page("overview")
    card = test.metric[3]
    assert (card.label, card.value, card.delta) == ("Baselines", "not measured", "measure them below")
    assert test.code[0].value == (
        "python -m kencore evaluate sample --data '/data/my sentences.tsv' --baselines --save"
    )
    next(button for button in test.button if button.label == "Measure now").click().run()
    assert not test.exception
    assert [(job.kind, job.params) for job in fake.found.values()] == [
        ("evaluate", {"model": "sample", "examples": "/data/my sentences.tsv", "baselines": True, "save": True})
    ]
    measure(store, baselines={"random": measured(0.77)})
    fake.change("job0", state="succeeded", started=1.0, finished=2.0)
    test.run()
    assert test.metric[3].label == "Best baseline"
    assert "Measure now" not in [button.label for button in test.button]


@pytest.mark.parametrize("count", [2, 4])
def test_notes_stand_in_one_place_and_many_are_folded(open_page: OpenPage, store: Run, count: int) -> None:
    record = json.loads((store.path / "record.json").read_text("utf-8"))
    record["notes"] = [f"Note *{i}* of the model." for i in range(1, count)]
    (store.path / "record.json").write_text(json.dumps(record))
    measure(store, data_notes=["Labels: label 1 = class 'positive'.", "Note *1* of the model."])
    test = open_page("overview")
    assert not test.exception
    said = [text.value for text in test.caption if text.value.startswith(":material/info:")]
    assert len(said) == count  # what is said twice is shown once
    assert said[0] == ":material/info: Note \\*1\\* of the model."
    assert said[-1] == ":material/info: Labels: label 1 = class 'positive'."
    assert (f"{count} notes" in [box.label for box in test.expander]) == (count > 3)
    assert any(text.value.startswith("In play were 99.9\xa0% of") for text in test.caption)


def test_the_pruned_model_can_be_taken_along(open_page: OpenPage) -> None:
    test = open_page("overview", open="export")
    assert test.code[-1].value.splitlines() == [
        "python -m kencore report sample --figures sample-pictures",
        "python -m kencore export sample sample-pruned",
        "python -m kencore export sample sample.subnetwork.safetensors --as subnetwork",
        "python -m kencore open sample.subnetwork.safetensors sample-restored  "
        "# uses the base named in the file; --base overrides it",
        "python -m kencore export sample sample.masks.safetensors --as masks",
        "python -m kencore export sample sample.packed-masks.safetensors --as packed-masks",
        "python -m kencore export sample sample.sparse-delta.safetensors --as sparse-delta",
    ]


def test_sections_are_made_when_they_are_opened_and_that_is_a_link(open_page: OpenPage) -> None:
    test = open_page("overview")
    assert not test.dataframe
    assert [box.label for box in test.expander if box.proto.expanded] == []
    both = open_page("overview", open="roles,outside")
    assert [box.label for box in both.expander if box.proto.expanded] == [
        "Weights by role",
        "Outside the blocks, and what was not pruned",
    ]
    assert len(both.dataframe) == 2


def test_the_numbers_are_those_of_the_run(open_page: OpenPage, store: Run) -> None:
    total = summaries.totals(store.matrices)
    help_text = open_page("overview").metric[0].proto.help
    assert f"{total.kept:,} of {total.params:,}" in help_text
    assert f"{total.kept_pruned:,} of {total.pruned:,}" in help_text


def test_every_parameter_outside_the_blocks_is_listed(open_page: OpenPage, store: Run) -> None:
    table = open_page("overview", open="outside").dataframe[0].value
    outside = store.matrices[store.matrices["block"].isna()]
    assert table["Matrix"].tolist() == outside["name"].tolist()
    assert table["Open"].iloc[0] == ("matrix?run=sample&matrix=bert.embeddings.word_embeddings.weight")


def test_what_was_not_pruned_is_listed_with_its_reason(open_page: OpenPage) -> None:
    table = open_page("overview", open="outside").dataframe[1].value
    assert table["Names"].tolist() == ["classifier.weight, classifier.bias"]
    assert "no base" in table["Why"].iloc[0]


def test_the_command_that_makes_it_again(open_page: OpenPage, store: Run) -> None:
    command = open_page("overview", open="made").code[-1].value
    assert command.startswith("python -m kencore prune")
    assert store.spec.model in command
    assert "--keep 0.5" in command


def heat(test: AppTest) -> dict[str, Any]:
    """The map of blocks by roles."""
    found: dict[str, Any] = next(trace for trace in charts(test)[0]["data"] if trace["type"] == "heatmap")
    return found


@pytest.mark.parametrize("measure", ["share", "diff_lost", "diff_rms"])
def test_the_map_follows_the_address(open_page: OpenPage, measure: str) -> None:
    test = open_page("overview", measure=measure)
    assert not test.exception
    assert test.get("segmented_control")[0].value == measure
    heading = {"share": "kept in every", "diff_lost": "squared change lost", "diff_rms": "moved"}
    assert any(heading[measure] in text.value for text in test.markdown)


def test_the_choice_of_measure_goes_into_the_address(open_page: OpenPage) -> None:
    test = open_page("overview")
    test.get("segmented_control")[0].set_value("diff_rms").run()
    assert test.query_params["measure"] == "diff_rms"
    test.get("segmented_control")[0].set_value("diff_lost").run()
    assert "measure" not in test.query_params  # every matrix keeps the same share: what was lost differs
    test.get("segmented_control")[1].set_value("full").run()
    assert test.query_params["range"] == "full"
    assert heat(test)["zmax"] == 1


def test_where_losses_are_not_known_the_kept_share_is_shown_and_it_is_said(open_page: OpenPage, store: Run) -> None:
    path = store.path / "matrices.parquet"
    pd.read_parquet(path).assign(diff_lost=np.nan).to_parquet(path)
    test = open_page("overview")
    assert test.get("segmented_control")[0].value == "share"
    assert any("What was lost is not known" in text.value for text in test.caption)


def test_the_map_in_the_page_is_exact(open_page: OpenPage, store: Run) -> None:
    raw = heat(open_page("overview", measure="share"))["z"]
    grid = np.frombuffer(base64.b64decode(raw["bdata"]), np.float32)
    known = grid[~np.isnan(grid)]
    cells = summaries.model_cells(store.matrices)
    np.testing.assert_array_equal(np.sort(known), np.sort(cells.loc[cells["pruned"] > 0, "share"].to_numpy(np.float32)))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"run": "nobody"}, "no such run"),
        ({"run": "../../etc"}, "not the id of a run"),
        ({"measure": "beauty"}, "beauty"),
    ],
)
def test_bad_links_are_messages(open_page: OpenPage, query: dict[str, str], said: str) -> None:
    test = open_page("overview", **query)
    assert not test.exception
    assert said in test.error[0].value


def test_charts_have_names_for_screen_readers(open_page: OpenPage) -> None:
    for element in open_page("overview").get("plotly_chart"):
        assert element.proto.alt


@pytest.mark.parametrize(
    ("after", "box", "word"), [(0.784, "info", "Unclear"), (0.72, "warning", "Damaged"), (0.6, "error", "Ruined")]
)
def test_the_verdict_stands_on_top(open_page: OpenPage, store: Run, after: float, box: str, word: str) -> None:
    measure(store, pruned=measured(after))
    test = open_page("overview")
    assert not test.exception
    assert [one.value.split(",")[0].replace("\xa0", " ") for one in getattr(test, box)] == [
        f"**{word}:** accuracy 79.2 → {100 * after:.1f} %"
    ]


def test_a_run_that_was_not_measured_has_no_verdict(open_page: OpenPage) -> None:
    test = open_page("overview")
    assert [*test.success, *test.info, *test.warning, *test.error] == []
