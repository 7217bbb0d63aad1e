"""The sparsity page: one run and several, with and without a search, links good and bad."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app.app_pages.sparsity import parts as sparsity_parts
from kencore.runs.run import Run
from kencore.views import sparsity
from kencore.words.palette import RUNS
from tests.app.conftest import Beside, OpenPage, make_all, put_beside
from tests.support.hostile import read

MADE: dict[str, dict[str, Any]] = {
    "uniform": {"allocation": "uniform"},
    "owl": {"allocation": "owl"},
    "blocks": {"allocation": "neuroal", "step": "block"},
    "both": {"allocation": "neuroal", "step": "both"},
    "atp": {"allocation": "atp"},
    "zeros": {"method": "magnitude", "allocation": "uniform"},
    "unmeasured": {"allocation": "alpha", "measured": False},
}
DOWN = "model.layers.1.mlp.down_proj.weight"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of language models, made once."""
    return make_all(tmp_path_factory, MADE)


@pytest.fixture
def runs(store: Run, made: dict[str, Path]) -> Beside:
    """All of them in the test's store, beside the run ``sample`` of an encoder."""
    return put_beside(store, made)


def figure(test: AppTest, starts: str) -> dict[str, Any]:
    for element in test.get("plotly_chart"):
        if element.proto.alt.startswith(starts):
            found: dict[str, Any] = json.loads(element.proto.spec)
            return found
    raise AssertionError(f"no chart that is {starts}")


def numbers(values: Any) -> np.ndarray:
    """What Plotly's JSON holds: a list, or base64 with a dtype."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return np.asarray(values)


def words(test: AppTest) -> str:
    parts = (*test.title, *test.caption, *test.markdown, *test.info)
    return read(" ".join(part.value for part in parts).replace("\xa0", " "))


def test_the_bars_are_those_of_the_run(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="blocks")
    assert not test.exception
    assert not test.error
    bars = numbers(figure(test, "Bars of sparsity by block")["data"][0]["y"])
    np.testing.assert_allclose(bars, sparsity.by_block(runs["blocks"].matrices)["sparsity"], rtol=1e-6)
    assert test.title[0].value.replace("\xa0", " ") == (
        "Wanda + NeuroAL (blocks): sparsity 70 %, 62 % to 78 % over the blocks"
    )


def test_alone_there_are_no_lines_over_depth(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="blocks")
    assert "Sparsity by depth, run by run" not in [heading.value for heading in test.header]
    assert test.multiselect(key="sparsity_compare").value == []


def test_four_runs_have_a_line_and_a_color_each(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="both", compare="uniform,owl,blocks")
    assert not test.exception
    assert not test.error
    lines = figure(test, "Lines of sparsity over the blocks")["data"]
    assert [line["name"] for line in lines] == ["NeuroAL (blocks, then rows)", "Uniform", "OWL", "NeuroAL (blocks)"]
    assert [line["line"]["color"] for line in lines] == list(RUNS)
    for line, name in zip(lines, ("both", "uniform", "owl", "blocks"), strict=True):
        np.testing.assert_allclose(numbers(line["y"]), sparsity.by_block(runs[name].matrices)["sparsity"], rtol=1e-6)
    table = test.table[0].value.T
    assert len(table) == 4
    assert set(table["Measure"]) == {"perplexity ↓ on pydoc, 50 windows of 64 tokens"}
    assert (table["Not kept"].str.replace("\xa0", " ") == "21,504 of 30,720 (70.000 %)").all()
    assert "Note" not in table or not table["Note"].astype(bool).any()


def test_choosing_runs_goes_into_the_address(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="both")
    test.multiselect(key="sparsity_compare").set_value(["owl", "atp"]).run()
    assert test.query_params["compare"] == "owl,atp"
    assert len(figure(test, "Lines of sparsity")["data"]) == 3
    test.multiselect(key="sparsity_compare").set_value([]).run()
    assert "compare" not in test.query_params
    assert not test.exception


@pytest.mark.parametrize(
    ("compare", "said", "shown"),
    [
        ("owl,nobody", "'nobody'", ["owl"]),
        ("../../etc,owl", "'../../etc'", ["owl"]),
        ("uniform,owl,blocks,atp", "4 runs", ["uniform", "owl", "blocks"]),
        (",,", None, []),
        ("both", None, []),
        ("owl,owl", None, ["owl"]),
    ],
)
def test_a_bad_id_is_said_and_the_others_shown(
    open_page: OpenPage, runs: Beside, compare: str, said: str | None, shown: list[str]
) -> None:
    test = open_page("sparsity", run="both", compare=compare)
    assert not test.exception
    assert test.multiselect(key="sparsity_compare").value == shown
    if said is None:
        assert not test.error
    else:
        assert said in test.error[0].value.replace("\\", "")


def test_a_torn_run_beside_it_is_said(open_page: OpenPage, runs: Beside) -> None:
    (runs["owl"].path / "matrices.parquet").write_bytes(b"PAR1 torn")
    test = open_page("sparsity", run="both", compare="owl,uniform")
    assert not test.exception
    assert "matrices.parquet" in test.error[0].value
    assert len(figure(test, "Lines of sparsity")["data"]) == 2


def test_a_run_of_an_encoder_has_bars_and_no_search(open_page: OpenPage, store: Run) -> None:
    test = open_page("sparsity")
    assert not test.exception
    assert not test.error
    assert "KEN: sparsity 50 % in every block" in words(test)
    assert "every row was given the same budget, and KEN chose the weights" in words(test)
    assert "have the same sparsity, up to one weight" in words(test)
    assert "no activations were recorded" in words(test)
    assert len(test.get("plotly_chart")) == 1
    assert test.table[0].value.T["Measure"].tolist() == ["not measured"]


def test_an_encoder_beside_a_language_model_is_not_compared(open_page: OpenPage, runs: Beside, store: Run) -> None:
    found = {"accuracy": 0.8, "accuracy_low": 0.7, "accuracy_high": 0.9}
    metrics = {"data": "demo", "examples": 40, "dense": found, "pruned": found, "base": found}
    (store.path / "metrics.json").write_text(json.dumps(metrics))
    test = open_page("sparsity", run="both", compare="sample")
    assert not test.exception
    table = test.table[0].value.T
    assert table["Note"].tolist() == ["", "not comparable with the first: another task"]
    assert table["Pruned"].tolist() == ["42.0", "80.0\xa0%"]
    assert "other windows cannot be compared" in words(test)


def test_other_data_are_not_compared(open_page: OpenPage, runs: Beside) -> None:
    path = runs["owl"].path / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_sha256": "2" * 64}))
    table = open_page("sparsity", run="both", compare="owl").table[0].value.T
    assert table["Note"].tolist() == ["", "not comparable with the first: other data"]


def test_rows_that_are_all_equal_are_said_not_drawn(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="uniform")
    assert not test.exception
    assert "have the same sparsity, up to one weight" in words(test)
    assert not [c for c in test.get("plotly_chart") if c.proto.alt.startswith("Violins")]


def test_rows_that_differ_have_a_violin_each(open_page: OpenPage, runs: Beside) -> None:
    gate = DOWN.replace("down_proj", "gate_proj")
    test = open_page("sparsity", run="both", matrix=gate)
    points = next(trace for trace in figure(test, "Violins")["data"] if trace.get("name") == "median")
    wanted = [np.median(1 - runs["both"].rows(gate.replace(".1.", f".{b}."))["kept"] / 32) for b in range(4)]
    np.testing.assert_allclose(numbers(points["y"]), wanted, rtol=1e-6)
    assert test.selectbox(key="layers_family").value == gate.replace(".1.", ".*.")


def test_a_click_on_a_violin_opens_its_matrix(
    open_page: OpenPage, runs: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(sparsity_parts.links, "go", lambda page, **rest: went.append((page, rest)))
    asked: dict[str, Any] = {}
    monkeypatch.setattr(sparsity_parts, "draw", lambda chart, *, key, point=None: asked.update({key: point}))
    open_page("sparsity", run="both", matrix=DOWN.replace("down", "up"))
    asked["sparsity-rows"](2)
    assert went == [("matrix", {"matrix": "model.layers.2.mlp.up_proj.weight"})]


def test_both_searches_are_drawn_and_judged(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="both")
    said = words(test)
    assert "Over blocks: λ = 0.08 costs least" in said
    assert "Over rows: λ = 0.05 costs least" in said
    assert "so the choice is flat" in said
    trace = runs["both"].trace
    assert trace is not None
    curve = figure(test, "Line of cost")["data"][0]
    np.testing.assert_allclose(numbers(curve["y"]), trace["block_search"]["costs"])


def test_a_search_over_slopes(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="atp")
    assert not test.exception
    assert "slope = 0.02" in words(test)
    curve = figure(test, "Line of loss")["data"][0]
    assert numbers(curve["x"]).tolist() == [0.0, 0.01, 0.02, 0.03]


def test_without_a_search_the_scores_of_the_blocks_are_shown(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="owl")
    assert "Blocks with many outliers" in words(test)
    curve = figure(test, "Line of outlier share")["data"][0]
    np.testing.assert_allclose(numbers(curve["y"]), [0.02, 0.03, 0.04, 0.05])
    uniform = open_page("sparsity", run="uniform")
    assert "every matrix was given the same budget, and Wanda chose" in words(uniform)


def test_a_torn_trace_is_said(open_page: OpenPage, runs: Beside) -> None:
    (runs["both"].path / "trace.json").write_text("{")
    test = open_page("sparsity", run="both")
    assert not test.exception
    assert "trace.json" in test.error[0].value
    assert "Quality of these runs" in [heading.value for heading in test.header]


def test_alignment_is_that_of_the_matrix(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="both", matrix=DOWN)
    norms = runs["both"].activation_norms(DOWN)
    assert norms is not None
    wanted = sparsity.alignment(*norms)
    curves = figure(test, "Two curves of input norms")["data"]
    np.testing.assert_allclose(numbers(curves[1]["y"]), wanted.dense, rtol=1e-5)
    assert f"{100 * wanted.moved:.1f} % of the input norm" in words(test)
    assert "Alignment: the closer" in words(test)
    none = open_page("sparsity", run="zeros")
    assert "no activations were recorded" in words(none)


def test_torn_activations_are_said(open_page: OpenPage, runs: Beside) -> None:
    (runs["both"].path / "activations.safetensors").write_bytes(b"torn")
    test = open_page("sparsity", run="both")
    assert not test.exception
    assert "activations.safetensors" in test.error[0].value


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"matrix": "nobody"}, "no matrix"),
        ({"from": "9"}, "0 to 3"),
        ({"from": "2", "to": "1"}, "2 to 3"),
        ({"bars": "beauty"}, "beauty"),
        ({"run": "nobody"}, "no such run"),
    ],
)
def test_bad_links_are_messages(open_page: OpenPage, runs: Beside, query: dict[str, str], said: str) -> None:
    test = open_page("sparsity", **{"run": "both", **query})
    assert not test.exception
    assert said in test.error[0].value


def test_roles_have_a_panel_each(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="both", bars="role")
    assert len(figure(test, "Bars of sparsity by block, a panel")["data"]) == 7
    test.get_by_key("choose_bars").set_value("block").run()
    assert "bars" not in test.query_params


def test_a_range_of_blocks(open_page: OpenPage, runs: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparsity_parts, "SLIDER", 2)
    gate = DOWN.replace("down_proj", "gate_proj")
    test = open_page("sparsity", run="both", matrix=gate, **{"from": 1, "to": 2})
    points = next(t for t in figure(test, "Violins")["data"] if t.get("name") == "median")
    assert len(numbers(points["y"])) == 2
    test.slider(key="sparsity_blocks").set_value((0, 2)).run()
    assert not test.exception
    assert "from" not in test.query_params
    assert test.query_params["to"] == "2"


def test_no_range_is_asked_where_no_block_has_rows_that_differ(
    open_page: OpenPage, runs: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparsity_parts, "SLIDER", 1)
    test = open_page("sparsity", run="both")
    assert [slider.key for slider in test.slider] == ["sparsity_blocks"]
    even = sparsity.spread(np.array([3, 3]), 8)
    monkeypatch.setattr(sparsity_parts, "row_spreads", lambda run, names: [even for _ in names])
    test = open_page("sparsity", run="both")
    assert not test.exception
    assert [slider.key for slider in test.slider] == []
    assert "have the same sparsity" in words(test)


def test_an_unmeasured_run_says_so(open_page: OpenPage, runs: Beside) -> None:
    test = open_page("sparsity", run="unmeasured")
    assert not test.exception
    assert "None of these runs was measured" in words(test)


def test_a_run_that_pruned_nothing_inside_blocks(open_page: OpenPage, runs: Beside) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = runs["zeros"].path / "matrices.parquet"
    table = pq.read_table(path)
    blocks = pa.nulls(len(table), table.schema.field("block").type)
    at = table.schema.get_field_index("block")
    pq.write_table(table.set_column(at, table.schema.field("block"), blocks), path)
    test = open_page("sparsity", run="zeros")
    assert not test.exception
    assert "pruned nothing inside blocks" in test.info[0].value
