"""Estimates from a probe: sums by hand, and what a probe of small models names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kencore.allocate.table import ALLOCATIONS
from kencore.data.examples import Examples
from kencore.methods.table import METHODS
from kencore.pruning.probe import EXAMPLES, _usual, probe
from kencore.pruning.timing import SPREAD, Paces, Work, alone, on_text, ranges, searching
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer, write_text

WORK = Work(alone=1000, inside=800, tokens=100, searched=20, models=3)
PACES = Paces(
    rules={"magnitude": 0.001, "wanda": 0.002},
    write=0.003,
    open=2.5,
    load=7.0,
    token=0.1,
    statistics={"wanda": 0.05},
    spectrum=0.01,
    head=0.5,
    once=11.0,
    fixed=13.0,
)


def test_a_rule_on_weights_alone() -> None:
    assert alone(PACES, WORK, METHODS["magnitude"]) == pytest.approx(2.5 + 1000 * 0.004 + 3 * 11 + 13)
    unmeasured = Work(alone=1000)
    assert alone(PACES, unmeasured, METHODS["magnitude"]) == pytest.approx(2.5 + 1000 * 0.004)


def test_a_method_on_text() -> None:
    pruning = 100 * (3 * 0.1 + 0.05) + 800 * 0.005
    wanted = 2.5 + 7 + pruning + 3 * 11 + 13
    assert on_text(PACES, WORK, METHODS["wanda"], ALLOCATIONS["uniform"]) == pytest.approx(
        wanted + searching_of("uniform")
    )


def searching_of(name: str) -> float:
    return searching(PACES, WORK, METHODS["wanda"], ALLOCATIONS[name])


def test_searching() -> None:
    candidate = 20 * (2 * 0.1 + 0.05) + 800 * 0.002
    assert searching_of("uniform") == 0
    assert searching_of("alpha") == pytest.approx(800 * 0.01)
    assert searching_of("owl") == searching_of("dlp") == pytest.approx(100 * 0.1)
    assert searching_of("neuroal") == pytest.approx(ALLOCATIONS["neuroal"].candidates * candidate)
    assert searching_of("atp") == pytest.approx(ALLOCATIONS["atp"].candidates * (candidate + 20 * 0.5))


def test_a_line_for_everything_that_can_be_asked() -> None:
    lines = ranges(PACES, WORK, METHODS.values(), ALLOCATIONS.values())
    named = {(line["method"], line["allocation"]) for line in lines}
    assert named == {(method, name) for method in ("magnitude", "wanda") for name in ALLOCATIONS}
    for line in lines:
        assert line["high"] / line["low"] == pytest.approx(SPREAD**2)
    without_text = ranges(PACES, Work(alone=1000), METHODS.values(), ALLOCATIONS.values())
    assert [line["method"] for line in without_text] == ["magnitude"]


def test_a_probe_of_a_language_model_and_of_a_pair(tmp_path: Path) -> None:
    base, tuned = save_pair("llama", tmp_path)
    for side in (base, tuned):
        add_tokenizer(side)
    text = str(write_text(tmp_path / "text.txt", 400))
    asked = {"calibration": text, "window": 16, "sequences": 4, "search_sequences": 2}
    found = probe(str(tuned), data=text, threads=1, **asked)
    assert found["measured"]
    methods = {line["method"] for line in found["ranges"]}
    assert methods == {name for name, row in METHODS.items() if not row.needs_base}
    assert all(line["seconds"] > 0 for line in found["ranges"])
    paired = probe(str(tuned), str(base), threads=1, **asked)
    assert not paired["measured"]
    assert {line["method"] for line in paired["ranges"]} >= {"ken", "delta"}


def test_sentences_of_about_the_mean_length_are_timed() -> None:
    lengths = [*range(1, 101), 1000]  # the mean is about 60, the median 51
    data = Examples(texts=tuple("x" * n for n in lengths), labels=(0,) * 101)
    places = _usual(data)
    assert len(places) == EXAMPLES
    assert np.mean([lengths[place] for place in places]) == pytest.approx(np.mean(lengths), abs=2)
    assert _usual(replace(data, texts=("a", "b"), labels=(0, 1))) == [0, 1]


def test_a_command_counts_what_it_took_to_begin(tmp_path: Path) -> None:
    base, tuned = save_pair("bert", tmp_path)
    soon, late = (probe(str(tuned), str(base), threads=1, begun=begun)["ranges"] for begun in (0.0, 1000.0))
    assert late[0]["seconds"] - soon[0]["seconds"] == pytest.approx(1000, abs=30)
