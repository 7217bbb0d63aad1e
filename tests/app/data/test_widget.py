"""Widgets of a notebook: what the kernel answers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.data import widget
from kencore import open_run
from kencore.errors import MatrixNotFoundError, MissingExtraError, SpecError
from kencore.methods.select import select
from kencore.notebook.shown import ShownRun
from tests.app.data.test_answers import decode
from tests.support.runs import make_lm_run

QUERY = "bert.encoder.layer.1.attention.self.query.weight"


@pytest.fixture(scope="module")
def demo() -> ShownRun:
    return open_run("demo")


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> ShownRun:
    return ShownRun(make_lm_run(tmp_path_factory.mktemp("language")).path)


def test_a_window_has_the_masks_of_the_run(demo: ShownRun) -> None:
    span = {"r0": "8", "r1": "40", "c0": "0", "c1": "64"}
    status, body = widget.answer(demo, "window", {"matrix": QUERY, **span})
    header, planes = decode(body)
    assert (status, header["size"]) == (200, [32, 64])
    keep = demo.keep(QUERY)[8:40, :64]
    np.testing.assert_array_equal(planes["kept"], keep)
    status, body = widget.answer(demo, "window", {"matrix": QUERY, "layer": "kept", **span, "h": "4", "w": "8"})
    _, planes = decode(body)
    np.testing.assert_array_equal(planes["count"], keep.reshape(8, 4, 8, 8).sum(axis=(1, 3)))


def test_a_slider_selects_as_the_rule_does(demo: ShownRun) -> None:
    made = widget.adjust(demo, QUERY)
    assert made.budget == {"keep": demo.spec.keep, "rest": []}
    asked = {"matrix": QUERY, "live": "0.25", "r0": "0", "r1": "128", "c0": "0", "c1": "128"}
    status, body = 503, b""
    while status == 503:  # until its rows are ranked
        status, body = widget.answer(demo, "window", asked)
    assert status == 200
    tuned, base = (torch.from_numpy(demo.values(QUERY, which)) for which in ("tuned", "base"))
    keep = select(tuned, 32, demo.spec.method, base)
    np.testing.assert_array_equal(decode(body)[1]["kept"], np.asarray(keep))
    status, body = widget.answer(demo, "setting", {"live": "0.25"})
    assert json.loads(body)["said"].startswith("25")


def test_one_weight(demo: ShownRun) -> None:
    status, body = widget.answer(demo, "cell", {"matrix": QUERY, "row": "3", "col": "5"})
    found = json.loads(body)
    assert (status, found["tuned"]) == (200, pytest.approx(float(demo.values(QUERY, "tuned")[3, 5])))


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("window", {"matrix": "no.such"}, 404),
        ("window", {"matrix": QUERY, "live": "many"}, 400),
        ("window", {"matrix": QUERY, "r0": "x"}, 400),
        ("export", {"job": "1"}, 400),
        ("cell", {}, 400),
    ],
)
def test_wrong_questions_are_answered_with_a_message(
    demo: ShownRun, path: str, query: dict[str, Any], status: int
) -> None:
    found, body = widget.answer(demo, path, query)
    assert found == status
    assert json.loads(body)["message"]


def test_questions_come_back_with_their_number(demo: ShownRun, monkeypatch: pytest.MonkeyPatch) -> None:
    made = demo.explore()
    sent: list[Any] = []
    monkeypatch.setattr(made, "send", lambda content, buffers: sent.append((content, buffers)))
    made._asked(made, {"id": 7, "path": "atlas", "query": {"run": "demo"}}, [])
    ((content, (body,)),) = sent
    assert content == {"id": 7, "status": 200}
    assert len(decode(body)[0]["matrices"]) == len(demo.matrices)


def test_what_cannot_be_shown_is_said(demo: ShownRun, language: ShownRun) -> None:
    with pytest.raises(MatrixNotFoundError):
        demo.explore("no.such")
    with pytest.raises(SpecError, match="it was not pruned: only in the tuned model"):
        demo.adjust("classifier.weight")
    with pytest.raises(SpecError, match="wanted a pruned matrix whose mask follows"):
        language.adjust()


def test_without_anywidget_it_says_what_to_install(demo: ShownRun, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "app.data.widget")
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises((MissingExtraError, ModuleNotFoundError), match="anywidget"):
        demo.explore()


def test_its_script_is_one_module() -> None:
    assert Path(widget.__file__).exists()
    assert widget.WeightMap._esm.rstrip().endswith("export default { render: made.render };")
