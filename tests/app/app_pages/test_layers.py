"""The layers page: one matrix in every block, by link, and links that lead nowhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from app.parts import blocks as block_views
from kencore.runs.run import Run
from kencore.views import tables as summaries
from kencore.views.window import LAYERS
from kencore.words.numbers import TERMS as ALL_TERMS
from tests.app.conftest import OpenPage
from tests.support.runs import BLOCKS

UP = "bert.encoder.layer.1.intermediate.dense.weight"
FAMILY = "bert.encoder.layer.*.intermediate.dense.weight"
TERMS = ALL_TERMS["base"]


def pictures(test: AppTest) -> list[dict[str, Any]]:
    spec = json.loads(test.get("plotly_chart")[0].proto.spec)
    return [image for image in spec["layout"]["images"] if image["xref"] == "x"]


@pytest.mark.parametrize("layer", ["lost", *LAYERS])
def test_every_layer_has_a_picture_of_every_block(open_page: OpenPage, layer: str) -> None:
    test = open_page("layers", matrix=UP, layer=layer)
    assert not test.exception
    assert not test.error
    assert len(pictures(test)) == BLOCKS
    assert test.selectbox(key="layers_family").value == FAMILY
    assert test.get_by_key("layers_layer").value == layer


def test_pictures_of_one_layer_differ_between_blocks(open_page: OpenPage) -> None:
    sources = {image["source"] for image in pictures(open_page("layers", matrix=UP))}
    assert len(sources) == BLOCKS


def test_choices_go_into_the_address(open_page: OpenPage) -> None:
    test = open_page("layers")
    test.selectbox(key="layers_family").set_value(FAMILY).run()
    assert test.query_params["matrix"] == UP.replace(".1.", ".0.")
    assert test.get_by_key("layers_layer").value == "lost"  # every block keeps the same share
    test.get_by_key("choose_range").set_value("full").run()
    assert test.query_params["range"] == "full"
    test.get_by_key("layers_layer").set_value("neighbours").run()
    assert test.query_params["layer"] == "neighbours"
    assert not test.exception


def test_a_matrix_outside_the_blocks_is_said(open_page: OpenPage) -> None:
    test = open_page("layers", matrix="bert.pooler.dense.weight")
    assert not test.exception
    assert any("outside the blocks" in caption.value for caption in test.caption)


@pytest.mark.parametrize(
    ("query", "said"), [({"layer": "beauty"}, "beauty"), ({"matrix": "nobody"}, "no matrix"), ({"run": "x"}, "no such")]
)
def test_bad_links_are_messages(open_page: OpenPage, query: dict[str, str], said: str) -> None:
    test = open_page("layers", **query)
    assert not test.exception
    assert said in test.error[0].value


@pytest.mark.parametrize("query", [{"matrix": "nope"}, {"matrix": UP, "layer": "beauty"}])
def test_a_bad_link_has_a_way_on(open_page: OpenPage, query: dict[str, str]) -> None:
    test = open_page("layers", **query)
    assert test.title[0].value.startswith("No such ")
    assert test.selectbox(key="layers_family").value is None
    test.selectbox(key="layers_family").set_value(FAMILY).run()
    assert not test.exception
    assert not test.error
    assert test.query_params["matrix"] == UP.replace(".1.", ".0.")
    assert "layer" not in test.query_params
    assert len(pictures(test)) == BLOCKS


def test_findings_are_computed(store: Run) -> None:
    blocks = summaries.family_blocks(store.matrices, FAMILY)
    kept = block_views.pictures(store, FAMILY, "kept")
    assert block_views.finding(blocks, kept, "kept", TERMS).replace("\xa0", " ") == (
        "50 % of the weights kept in each of 4 blocks"
    )
    near = block_views.pictures(store, FAMILY, "neighbours")
    means = [summaries.mean_neighbours(window) for window in near.windows if window]
    said = block_views.finding(blocks, near, "neighbours", TERMS)
    assert f"{min(means):.2f} to {max(means):.2f}" in said
    assert said.endswith("2.00 by chance")


def test_an_unpruned_block_is_drawn_as_such(store: Run) -> None:
    table = store.matrices
    table.loc[table["name"] == UP, "status"] = "untouched"
    found = block_views._pictures("x", "y", FAMILY, "kept", _run=store)
    assert found.windows[1] is None
    blocks = summaries.family_blocks(table, FAMILY)
    assert block_views.below(blocks, found, "kept", TERMS)[1] == "not pruned"
    assert len(np.unique(block_views.indices(found)[1])) == 1


def test_what_was_lost_is_drawn_from_the_table_where_the_weights_are_gone(
    open_page: OpenPage, store: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = summaries.family_blocks(store.matrices, FAMILY)
    there = block_views._pictures("x", "there", FAMILY, "lost", _run=store)
    assert there.present == (
        min(w.data.min() for w in there.windows if w),
        max(w.data.max() for w in there.windows if w),
    )
    record = json.loads((store.path / "record.json").read_text("utf-8"))
    for side in ("tuned", "base"):
        record["sources"][side]["text"] = "/nowhere"
    (store.path / "record.json").write_text(json.dumps(record))
    gone = Run(store.path)
    found = block_views._pictures("x", "gone", FAMILY, "lost", _run=gone)
    assert [float(w.data[0, 0]) for w in found.windows if w] == pytest.approx(list(blocks["diff_lost"]))
    assert found.present == pytest.approx((blocks["diff_lost"].min(), blocks["diff_lost"].max()))
    assert "Without the weights" in block_views.legend(found, "lost", (96, 48), TERMS)
    assert len({picture.tobytes() for picture in block_views.indices(found)}) == BLOCKS
    assert not open_page("layers", matrix=UP).exception


def test_the_change_of_large_matrices_is_shown_in_part(store: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_views, "WHOLE", 100)
    monkeypatch.setattr(block_views, "PART", 8)
    found = block_views._pictures("x", "z", FAMILY, "difference", _run=store)
    assert found.span == (8, 8)
    assert all(window.data.shape == (8, 8) for window in found.windows if window)
    assert "The first 8 rows and 8 columns of 96 × 48" in block_views.legend(found, "difference", (96, 48), TERMS)


def test_families_are_told_apart_by_as_little_as_that_takes() -> None:
    names = ["layer.{}.q.weight", "layer.{}.k.bias", "layer.{}.q.bias"]
    roles, stacks = ["q", "bias", "bias"], ["encoder", "encoder", "encoder"]
    one = families_of(names, roles, stacks)
    assert [block_views.family_options(one)[name.format("*")] for name in names] == [
        "Attention query",
        "Biases: k.bias",
        "Biases: q.bias",
    ]
    twice = [f"{stack}.{name}" for stack in ("encoder", "decoder") for name in names[:1]]
    two = families_of(twice, ["q", "q"], ["encoder", "decoder"])
    assert sorted(block_views.family_options(two).values()) == [
        "Attention query: decoder.layer.*.q.weight",
        "Attention query: encoder.layer.*.q.weight",
    ]


def families_of(names: list[str], roles: list[str], stacks: list[str]) -> pd.DataFrame:
    """A table of matrices in two blocks; each name has a place for the block's number."""
    lines = [
        {"name": name.format(block), "block": block, "stack": stack, "role": role, "part": ""}
        for name, role, stack in zip(names, roles, stacks, strict=True)
        for block in range(2)
    ]
    return pd.DataFrame(lines).assign(rows=2, cols=2, status="pruned")
