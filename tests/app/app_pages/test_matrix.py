"""The matrix page: what it says, what it hands to the map, links good and bad."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app import viewer
from kencore.runs.run import Run
from kencore.views.window import LAYERS, cell
from kencore.words import matrices
from tests.app.conftest import OpenPage

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48
BIAS = "bert.encoder.layer.2.attention.self.query.bias"  # 1 x 48


def map_data(test: AppTest) -> dict[str, Any]:
    """What the page sent to the viewer's script."""
    (element,) = maps(test)
    return json.loads(element.proto.json)


def maps(test: AppTest) -> list[Any]:
    return [one for one in test.get("bidi_component") if one.key == "weight_map"]


def test_the_title_states_the_finding(open_page: OpenPage) -> None:
    test = open_page("matrix", matrix=UP)
    assert not test.exception
    assert test.title[0].value == "Block 1 feed-forward, first: 50\xa0% of 4,608 weights kept"


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_by_link(open_page: OpenPage, store: Run, layer: str) -> None:
    test = open_page("matrix", matrix=UP, layer=layer, r0=3, r1=9, c0=0, c1=48, reset="shown")
    assert not test.exception
    assert not test.error
    data = map_data(test)
    assert data["view"] == {
        "at": None,
        "r0": 3,
        "r1": 9,
        "c0": 0,
        "c1": 48,
        "row": None,
        "col": None,
        "layer": layer,
        "reset": "shown",
        "range": "present",
    }
    (source,) = data["sources"]
    assert (source["run"], source["matrix"], source["rows"], source["cols"]) == ("sample", UP, 96, 48)
    assert data["version"] == viewer.VERSION


def test_without_a_view_the_whole_matrix_is_shown(open_page: OpenPage) -> None:
    view = map_data(open_page("matrix", matrix=BIAS))["view"]
    assert view == {
        "at": None,
        "r0": None,
        "r1": None,
        "c0": None,
        "c1": None,
        "row": None,
        "col": None,
        "layer": "kept",
        "reset": "hidden",
        "range": "present",
    }


def test_half_a_window_is_filled_up(open_page: OpenPage) -> None:
    view = map_data(open_page("matrix", matrix=UP, r0=90))["view"]
    assert (view["r0"], view["r1"], view["c0"], view["c1"]) == (90, 96, 0, 48)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"r0": "96"}, "0 to 95"),
        ({"r1": "97"}, "1 to 96"),
        ({"r0": "9", "r1": "9"}, "10 to 96"),
        ({"c1": "49"}, "1 to 48"),
        ({"row": "96", "col": "0"}, "0 to 95"),
        ({"row": "0", "col": "x"}, "0 to 47"),
        ({"layer": "nonsense"}, "kept, neighbours, difference, tuned, base"),
        ({"reset": "blue"}, "hidden, shown"),
    ],
)
def test_a_bad_view_is_said_and_the_whole_matrix_shown(open_page: OpenPage, query: dict[str, str], says: str) -> None:
    test = open_page("matrix", matrix=UP, **query)
    assert not test.exception
    assert says in test.error[0].value
    assert map_data(test)["view"]["r0"] is None
    assert map_data(test)["view"]["layer"] == "kept"


def test_an_unknown_matrix_is_said_and_others_are_offered(open_page: OpenPage) -> None:
    test = open_page("matrix", matrix="bert.nothing")
    assert not test.exception
    assert "bert.nothing" in test.error[0].value
    block = test.selectbox(key="matrix_group")
    assert block.value is None
    assert block.options[:2] == ["Outside the blocks", "Block 0"]
    block.set_value("Block 2").run()
    assert not test.error
    assert test.query_params["matrix"].startswith("bert.encoder.layer.2.")


def test_a_matrix_that_was_not_pruned_says_why(open_page: OpenPage) -> None:
    test = open_page("matrix", matrix="classifier.weight")
    assert not test.exception
    assert "no base" in test.info[0].value
    assert not maps(test)


def test_the_next_block_shows_the_same_matrix(open_page: OpenPage) -> None:
    test = open_page("matrix", matrix=UP, r0=3, r1=9, c0=1, c1=4, row=3, col=2, layer="tuned")
    test.button(key="matrix_on").click().run()
    assert dict(test.query_params) == {"matrix": UP.replace(".1.", ".2.")}
    test.button(key="matrix_back").click().run()
    test.button(key="matrix_back").click().run()
    assert test.query_params["matrix"] == UP.replace(".1.", ".0.")
    assert test.button(key="matrix_back").disabled
    assert not test.button(key="matrix_on").disabled


def test_another_block_keeps_the_part_and_another_matrix_the_block(open_page: OpenPage) -> None:
    test = open_page("matrix", matrix=UP)
    test.selectbox(key="matrix_group").set_value("Block 3").run()
    assert test.query_params["matrix"] == UP.replace(".1.", ".3.")
    names = test.selectbox(key="matrix_name")
    assert "Attention key · 48 × 48" in names.options
    names.set_value("bert.encoder.layer.3.attention.self.key.weight").run()
    assert test.title[0].value.startswith("Block 3 attention key:")


def shown(test: AppTest) -> str:
    return " ".join(element.value for element in test.html)


def test_a_linked_weight_is_explained(open_page: OpenPage, store: Run) -> None:
    test = open_page("matrix", matrix=UP, row=7, col=11)
    assert not test.exception
    found = cell(store, UP, 7, 11)
    assert "**Row 7, column 11**" in [text.value for text in test.markdown]
    tuned, base = store.values(UP, "tuned")[7, 11], store.values(UP, "base")[7, 11]
    for text in (str(tuned), str(base), str(tuned - base), f"{found['rank_value']} of 48"):
        assert f">{text}</dd>" in shown(test)
    assert ("● kept" in shown(test)) == bool(store.keep(UP)[7, 11])
    assert [link.value for link in test.page_link] == [
        "Open row 7",
        "On the map",
        "In every block",
        "Its rows and inputs",
    ]


def test_the_numbers_of_the_matrix(open_page: OpenPage, store: Run) -> None:
    test = open_page("matrix", matrix=UP)
    line = store.matrix(UP)
    for text in ("2,304", "24 of 48", "96 × 48", "F32", f"{float(line['diff_rms']):.3g}"):
        assert f">{text}</dd>" in shown(test)


def test_siblings_and_groups(store: Run) -> None:
    table = store.matrices
    line = store.matrix(UP)
    assert matrices.siblings(line, table) == [UP.replace(".1.", f".{b}.") for b in range(4)]
    outside = store.matrix("bert.pooler.dense.weight")
    assert matrices.siblings(outside, table) == ["bert.pooler.dense.weight"]
    groups = matrices.groups(table)
    assert list(groups) == [matrices.OUTSIDE, "Block 0", "Block 1", "Block 2", "Block 3"]
    assert sorted(chain(*groups.values())) == sorted(store.pruned)


@pytest.mark.parametrize(
    ("name", "block", "role", "label"),
    [
        ("bert.encoder.layer.11.attention.self.query.bias", 11, "bias", "attention query bias"),
        ("bert.encoder.layer.1.output.LayerNorm.weight", 1, "norm", "output LayerNorm gain"),
        ("bert.encoder.layer.1.output.LayerNorm.bias", 1, "norm", "output LayerNorm bias"),
        ("bert.encoder.layer.1.output.dense.weight", 1, "down", "feed-forward, second"),
        ("model.layers.3.self_attn.q_proj.weight", 3, "q", "attention query"),
        ("bert.embeddings.word_embeddings.weight", None, "embedding", "word embeddings"),
        ("bert.pooler.dense.bias", None, "pooler", "pooler bias"),
        ("bert.pooler.dense.weight", None, "pooler", "pooler"),
        ("classifier.weight", None, "head", "head"),
        ("wte.weight", None, "embedding", "word embeddings"),
    ],
)
def test_labels(name: str, block: int | None, role: str, label: str) -> None:
    line = pd.Series({"name": name, "block": pd.NA if block is None else block, "role": role})
    assert matrices.label(line) == label
