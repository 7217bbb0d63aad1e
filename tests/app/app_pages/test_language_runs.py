"""Runs of language models on the pages that all runs share: zeros, perplexity, updated values."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.charts import row_scores
from app.data import payload
from kencore.runs.run import Run
from tests.app.conftest import Beside, OpenPage, make_all, put_beside
from tests.app.fake_jobs import FakeJobs
from tests.support.hostile import read

MADE: dict[str, dict[str, Any]] = {
    "both": {},
    "sparsegpt": {"method": "sparsegpt"},
    "zeros": {"method": "magnitude", "allocation": "uniform", "measured": False},
}
GATE = "model.layers.1.mlp.gate_proj.weight"  # 48 x 32


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_all(tmp_path_factory, MADE)


@pytest.fixture
def runs(store: Run, made: dict[str, Path]) -> Beside:
    return put_beside(store, made)


def words(test: AppTest) -> str:
    kinds = (test.title, test.caption, test.markdown, test.info, test.html, test.code)
    return read(" ".join(part.value for kind in kinds for part in kind).replace("\xa0", " "))


# --- overview --------------------------------------------------------------------------------


def test_the_overview_of_a_language_model(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("overview", run="both", open="figures,made")
    assert not test.exception
    assert not test.error
    assert test.title[0].value.replace("\xa0", " ") == (
        "Wanda + NeuroAL (blocks, then rows) sets 70 % of 30.7 k weights to zero; perplexity 24.0 → 42.0"
    )
    cards = {metric.label: metric for metric in test.metric}
    assert cards["Weights set to zero"].value.replace("\xa0", " ") == "21.5 k of 30.7 k"
    assert "21,504 of 30,720" in cards["Weights set to zero"].proto.help
    quality = cards["Perplexity, before → after"]
    assert (quality.value, quality.delta) == ("24.0 → 42.0", "75\xa0% higher")
    assert "nats per token" in quality.proto.help
    assert "Measured on 50 windows of 64 tokens of Python's help texts (pydoc)." in [
        caption.value for caption in test.caption
    ]
    assert (cards["Best baseline"].value, cards["Best baseline"].delta) == ("45.5", "8.3\xa0% higher")
    assert "base model is needed" not in cards["Size of the kept part"].proto.help
    alts = [element.proto.alt for element in test.get("plotly_chart")]
    assert any(alt.startswith("Perplexity of each model, lower is better") for alt in alts)
    assert "--allocation neuroal" in words(test)
    assert "reset" not in " ".join(alts)


def test_the_map_speaks_of_weights_where_there_is_no_difference(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("overview", run="both", measure="diff_rms")
    assert not test.exception
    assert "Weights are largest in" in words(test)
    test = open_page("overview", run="both", measure="diff_lost")
    assert "of the squared weights lost" in words(test)


def test_the_map_shows_the_kept_share_where_it_differs_and_inputs_where_they_were_recorded(
    open_page: OpenPage, runs: Beside
) -> None:
    choice = open_page("overview", run="both").get_by_key("choose_measure")
    assert choice.value == "share"
    assert "Inputs moved" in choice.options
    assert "of the input norms moved" in words(open_page("overview", run="both", measure="input_error"))
    even = open_page("overview", run="zeros").get_by_key("choose_measure")
    assert even.value == "diff_lost"
    assert "Inputs moved" not in even.options
    assert "measure in the address" in open_page("overview", run="zeros", measure="input_error").error[0].value


def test_a_link_of_an_older_version_shows_what_was_lost(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("overview", run="both", measure="diff_share_kept")
    assert not test.error
    assert test.query_params["measure"] == "diff_lost"


def test_sparsegpt_says_that_it_updates(open_page: OpenPage, runs: Beside) -> None:
    assert "SparseGPT updates kept weights" in words(open_page("overview", run="sparsegpt"))
    assert "SparseGPT updates" not in words(open_page("overview", run="both"))


def test_measuring_an_unmeasured_run(
    open_page: OpenPage, runs: Beside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeJobs(tmp_path).install(monkeypatch)
    test = open_page("overview", run="zeros")
    assert not test.exception
    test.text_input(key="overview_data").set_value("pydoc").run()
    next(button for button in test.button if button.label == "Measure now").click().run()
    assert not test.exception
    assert fake.found["job0"].params["examples"] == "pydoc"


def test_how_it_was_made_names_the_text_and_no_base(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("overview", run="both", open="made")
    table = " ".join(map(str, test.table[0].value.to_numpy().ravel())) + " ".join(map(str, test.table[0].value.index))
    assert "Python's help texts (pydoc), 16 sequences of 64 tokens" in table
    assert "Base model" not in table


# --- matrix ----------------------------------------------------------------------------------


def test_a_matrix_without_a_base(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("matrix", run="both", matrix=GATE, row=3, col=5, layer="tuned")
    assert not test.exception
    assert not test.error
    said = words(test)
    assert "Set to zero" in said
    assert "Kept per row, mean" in said  # rows differ
    assert ">Difference<" not in said
    assert ">Base<" not in said
    (element,) = [one for one in test.get("bidi_component") if one.key == "weight_map"]
    source = json.loads(element.proto.json)["sources"][0]
    assert source["restore"] == "zero"


@pytest.mark.parametrize("page", ["matrix", "layers"])
@pytest.mark.parametrize("layer", ["base", "difference"])
def test_layers_that_a_run_has_not_are_messages(open_page: OpenPage, runs: Beside, page: str, layer: str) -> None:
    test = open_page(page, run="both", matrix=GATE, layer=layer)
    assert not test.exception
    assert layer in test.error[0].value


def test_another_run_drops_a_layer_that_it_has_not(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("matrix", run="sample", layer="difference")
    test.selectbox(key="run_choice").set_value("both").run()
    assert not test.exception
    assert not test.error
    assert dict(test.query_params) == {"run": "both"}
    test = open_page("matrix", run="sample", layer="tuned")
    test.selectbox(key="run_choice").set_value("both").run()
    assert test.query_params["layer"] == "tuned"


def test_an_updated_weight_says_so(open_page: OpenPage, runs: Beside) -> None:
    run = runs["sparsegpt"]
    row, col = np.argwhere(run.keep(GATE))[0]
    test = open_page("matrix", run="sparsegpt", matrix=GATE, row=row, col=col)
    assert "● kept, updated" in words(test)
    pruned = run.values(GATE, "pruned")[row, col]
    assert pruned != run.values(GATE, "tuned")[row, col]
    assert ">" + str(pruned) + "</dd>" in words(test)


def test_the_map_gets_the_updated_values(runs: Beside) -> None:
    span = {"r0": 3, "r1": 9, "c0": 0, "c1": 32}
    for name, planes in (("both", 4), ("sparsegpt", 5)):
        raw = payload.window_bytes(runs[name], GATE, "kept", span)
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[4:8], "little")])
        assert len(header["planes"]) == planes
    plane = header["planes"][4]
    assert plane["name"] == "pruned"
    start = 8 + int.from_bytes(raw[4:8], "little") + plane["offset"]
    values = np.frombuffer(raw, "<f4", 6 * 32, start).reshape(6, 32)
    np.testing.assert_array_equal(values, runs["sparsegpt"].values(GATE, "pruned", slice(3, 9)))


def test_the_csv_of_a_window_without_a_base(runs: Beside) -> None:
    run = runs["sparsegpt"]
    text = payload.window_csv(run, GATE, {"r0": 1, "r1": 3, "c0": 2, "c1": 5})
    lines = list(csv.DictReader(io.StringIO(text)))
    assert list(lines[0]) == ["row", "column", "dense", "pruned", "kept", "neighbours"]
    wanted = run.values(GATE, "pruned", slice(1, 3), slice(2, 5)).ravel()
    assert [np.float32(line["pruned"]) for line in lines] == wanted.tolist()


# --- row and layers --------------------------------------------------------------------------


def test_a_row_of_wanda_is_explained_by_its_scores(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("row", run="both", matrix=GATE, row=4)
    assert not test.exception
    assert not test.slider  # another k would be another allocation
    said = words(test)
    run = runs["both"]
    norms = run.activation_norms(GATE)
    assert norms is not None
    score = np.abs(run.values(GATE, "tuned", slice(4, 5))[0]) * norms[1]
    wanted = row_scores._finding(run.keep(GATE, slice(4, 5))[0][np.argsort(-score)], "|weight| × norm of its input")
    assert wanted in said
    assert "Bandwidth" not in said
    assert "Difference" not in said


def test_a_row_of_magnitude_and_one_of_sparsegpt(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("row", run="zeros", matrix=GATE, row=4)
    assert not test.exception
    kept = int(runs["zeros"].keep(GATE, slice(4, 5)).sum())
    assert "of largest |weight|" in words(test)
    assert f"{kept} of 32 weights are kept" in words(test)
    test = open_page("row", run="sparsegpt", matrix=GATE, row=4)
    assert not test.exception
    assert "which one row cannot show" in words(test)


@pytest.mark.parametrize("layer", ["kept", "neighbours", "tuned"])
def test_layers_of_a_language_model(open_page: OpenPage, runs: Beside, layer: str) -> None:
    test = open_page("layers", run="both", matrix=GATE, layer=layer)
    assert not test.exception
    assert not test.error
    assert test.get_by_key("layers_layer").options == ["Weight lost", "Kept", "Neighbors", "Dense"]
    assert "of the squared weights" in words(test)
