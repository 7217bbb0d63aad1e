"""Settings: refused before any model loads, and the same after a trip through JSON."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore import PruneSpec
from kencore.errors import KencoreError, SpecError
from kencore.spec import METHODS

budgets = st.one_of(
    st.floats(0, 1, exclude_min=True).map(lambda keep: {"keep": keep}),
    st.integers(1, 10**6).map(lambda k: {"k": k}),
)
words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)
settings_of_a_spec = st.fixed_dictionaries(
    {"model": words, "base": words, "method": st.sampled_from(METHODS)},
    optional={
        "scope": st.lists(words, min_size=1, max_size=3).map(tuple),
        "embeddings": st.booleans(),
        "head": st.booleans(),
        "evaluation": st.none() | words,
        "seed": st.integers(0, 2**63 - 1),
        "device": st.sampled_from(["auto", "cpu", "cuda:1"]),
    },
)


@given(settings_of_a_spec, budgets)
def test_json_both_ways(settings: dict[str, Any], budget: dict[str, Any]) -> None:
    spec = PruneSpec(**settings, **budget)
    assert PruneSpec.from_json(spec.to_json()) == spec
    assert hash(PruneSpec.from_json(spec.to_json())) == hash(spec)
    assert json.loads(spec.to_json())["scope"] == list(spec.scope)


@given(st.floats(0, 1, exclude_min=True), st.integers(1, 20_000))
def test_a_share_of_a_row_rounds_half_up_and_keeps_at_least_one(keep: float, columns: int) -> None:
    k = PruneSpec(model="m", base="b", keep=keep).row_budget(columns)
    exact = math.floor(Fraction(keep * columns) + Fraction(1, 2))
    assert k == min(columns, max(1, exact))


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_k_keeps_short_rows_whole(k: int, columns: int) -> None:
    assert PruneSpec(model="m", base="b", k=k).row_budget(columns) == min(k, columns)


def test_the_demo_knows_its_base() -> None:
    assert PruneSpec(model="demo", keep=0.5).base == "demo-base"


@pytest.mark.parametrize(
    ("settings", "subject"),
    [
        ({"base": None, "keep": 0.5}, "base"),
        ({"keep": 0.5, "k": 3}, "keep and k"),
        ({}, "keep and k"),
        ({"keep": 0}, "keep"),
        ({"keep": 1.01}, "keep"),
        ({"keep": -0.5}, "keep"),
        ({"keep": float("nan")}, "keep"),
        ({"keep": "half"}, "keep"),
        ({"keep": True}, "keep"),
        ({"k": 0}, "k"),
        ({"k": 2.5}, "k"),
        ({"k": True}, "k"),
        ({"keep": 0.5, "method": "best"}, "method"),
        ({"keep": 0.5, "scope": ()}, "scope"),
        ({"keep": 0.5, "scope": ("",)}, "scope"),
        ({"keep": 0.5, "scope": 5}, "scope"),
        ({"keep": 0.5, "scope": None}, "scope"),
        ({"keep": 0.5, "seed": -1}, "seed"),
        ({"keep": 0.5, "seed": 0.5}, "seed"),
        ({"keep": 0.5, "device": "tpu"}, "device"),
        ({"keep": 0.5, "device": "cuda:"}, "device"),
        ({"keep": 0.5, "head": 1}, "head"),
        ({"keep": 0.5, "model": " "}, "model"),
        ({"keep": 0.5, "evaluation": ""}, "evaluation"),
        ({"keep": 0.5, "colour": "red"}, "settings"),
    ],
)
def test_bad_values_are_refused_with_a_message(settings: dict[str, Any], subject: str) -> None:
    with pytest.raises(SpecError) as caught:
        PruneSpec.from_dict({"model": "m", "base": "b"} | settings)
    assert caught.value.subject == subject
    assert caught.value.got
    assert caught.value.wanted
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"keep": 0.5}'])
def test_json_that_is_no_spec(text: str) -> None:
    with pytest.raises(SpecError, match="settings"):
        PruneSpec.from_json(text)


def test_errors_cross_process_borders() -> None:
    import copy

    error = SpecError("keep", got="2", wanted="less", remedy="Lower it.")
    again = copy.copy(error)  # by way of __reduce__, as pickling would
    assert isinstance(again, KencoreError)
    assert (str(again), again.to_json()) == (str(error), error.to_json())
    assert error.to_json()["type"] == "SpecError"
