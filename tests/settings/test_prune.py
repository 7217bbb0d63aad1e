"""Settings: refused before any model loads, and the same after a trip through JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore import PruneSpec
from kencore.allocate.table import ALLOCATIONS
from kencore.errors import KencoreError, SpecError
from kencore.methods.table import METHODS, rules

budgets = st.one_of(
    st.floats(0, 1, exclude_min=True).map(lambda keep: {"keep": keep}), st.integers(1, 10**6).map(lambda k: {"k": k})
)
words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)
settings_of_a_spec = st.fixed_dictionaries(
    {"model": words, "base": words, "method": st.sampled_from(rules())},
    optional={
        "scope": st.lists(words, min_size=1, max_size=3).map(tuple),
        "embeddings": st.booleans(),
        "head": st.booleans(),
        "evaluation": st.none() | words,
        "windows": st.none() | st.integers(1, 10**6),
        "seed": st.integers(0, 2**63 - 1),
        "device": st.sampled_from(["auto", "cpu", "cuda:1"]),
    },
)


language_models = st.fixed_dictionaries(
    {
        "model": words,
        "method": st.sampled_from([name for name, row in METHODS.items() if not row.needs_base]),
        "allocation": st.sampled_from(list(ALLOCATIONS)),
        "keep": st.floats(0.001, 0.999),
    },
    optional={
        "reference": st.sampled_from(["local", "global"]),
        "propagate": st.sampled_from(["pruned", "dense"]),
        "sequences": st.integers(1, 10**6),
        "search_sequences": st.integers(1, 10**6),
        "window": st.none() | st.integers(2, 10**6),
        "fast": st.booleans(),
    },
)


@given(language_models)
def test_settings_of_language_models_go_to_json_and_back(settings: dict[str, Any]) -> None:
    spec = PruneSpec(**settings)
    assert PruneSpec.from_json(spec.to_json()) == spec
    assert spec.restore == "zero"
    assert spec.exact
    assert spec.streams == (spec.method not in ("magnitude", "random") or spec.allocation != "uniform")


@given(settings_of_a_spec, budgets)
def test_json_both_ways(settings: dict[str, Any], budget: dict[str, Any]) -> None:
    spec = PruneSpec(**settings, **budget)
    assert PruneSpec.from_json(spec.to_json()) == spec
    assert hash(PruneSpec.from_json(spec.to_json())) == hash(spec)
    assert json.loads(spec.to_json())["scope"] == list(spec.scope)


def test_the_demo_knows_its_base() -> None:
    assert PruneSpec(model="demo", keep=0.5).base == "demo-base"


def test_settings_of_an_older_file_still_open() -> None:
    old = (
        '{"base": "b", "base_revision": null, "baselines": true, "device": "auto", '
        '"embeddings": true, "evaluation": "demo", "head": true, "k": null, "keep": 0.5, '
        '"method": "ken", "model": "m", "model_revision": null, "scope": ["all"], "seed": 0, '
        '"vectors": true}'
    )
    spec = PruneSpec.from_json(old)
    assert (spec.restore, spec.streams, spec.exact, spec.allocation) == ("base", False, False, "uniform")


@pytest.mark.parametrize(
    ("model", "method", "base"),
    [
        ("demo", "ken", "demo-base"),
        ("demo", "magnitude", "demo-base"),
        ("demo-lm", "ken", "demo-lm-base"),
        ("demo-lm", "ken-density", "demo-lm-base"),
        ("demo-lm", "delta", "demo-lm-base"),
        ("demo-lm", "magnitude", None),
        ("demo-lm", "random", None),
        ("demo-lm", "wanda", None),
        ("demo-lm", "sparsegpt", None),
        ("m", "multiflow", None),
    ],
)
def test_what_entries_go_back_to(model: str, method: str, base: str | None) -> None:
    spec = PruneSpec(model=model, method=method, keep=0.5)
    assert spec.base == base
    assert spec.restore == ("zero" if base is None else "base")


def test_a_base_beside_a_method_that_can_use_one_is_used() -> None:
    spec = PruneSpec(model="m", base="b", method="wanda", keep=0.5)
    assert (spec.restore, spec.streams, spec.exact) == ("base", True, True)
    assert not PruneSpec(model="m", base="b", method="magnitude", keep=0.5).exact
    assert not PruneSpec(model="m", method="magnitude", k=3).exact


@pytest.mark.parametrize(("keep", "sparsity"), [(0.3, 0.7), (0.1, 0.9), (0.9, 0.1), (1, 0.0), (0.2, 0.8)])
def test_sparsity_is_the_other_side_of_keep(keep: float, sparsity: float) -> None:
    assert PruneSpec(model="m", method="random", keep=keep).sparsity == sparsity
    assert PruneSpec(model="m", method="random", k=4).sparsity is None


LM = {"model": "m", "method": "wanda", "keep": 0.3}


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (1.0, "keep 1, that is sparsity 0: nothing would be pruned"),
        (0.0, "keep 0, that is sparsity 1: nothing would be left"),
        (-0.5, "keep -0.5, that is sparsity 1.5: more than everything pruned"),
        (1.5, "keep 1.5, that is sparsity -0.5: more than everything kept"),
        (50, "Did you mean keep 0.5?"),
        (-69, "Did you mean sparsity 0.7?"),
        (float("nan"), "nan, which is no share"),
        ("half", "'half', which is no share"),
        (True, "True, which is no share"),
    ],
)
def test_each_share_that_cannot_be_has_its_own_message(keep: Any, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        PruneSpec(**LM | {"keep": keep})
    assert caught.value.subject == "keep"
    assert words in str(caught.value)
    assert "sparsity is 1 - keep" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "subject", "words"),
    [
        ({"method": "ken"}, "base", "no base model, which ken needs"),
        ({"method": "delta"}, "base", "no base model, which delta needs"),
        ({"method": "sparsegpt", "base": "b"}, "base", "b beside sparsegpt"),
        ({"method": "sparsegpt", "step": "row"}, "step", "row with sparsegpt"),
        ({"method": "sparsegpt", "step": "both"}, "step", "both with sparsegpt"),
        ({"keep": None, "k": 3}, "k", "3 weights per row, with wanda"),
        ({"keep": None, "k": 3, "method": "magnitude", "allocation": "owl"}, "k", "with allocation owl"),
        ({"refine": "dsnot", "base": "b"}, "refine", "dsnot beside a base"),
        ({"refine": "more"}, "refine", "'more'"),
        ({"allocation": "best"}, "allocation", "'best'"),
        ({"allocation": None}, "allocation", "None"),
        ({"step": "column"}, "step", "'column'"),
        ({"reference": "far"}, "reference", "'far'"),
        ({"propagate": "both"}, "propagate", "'both'"),
        ({"calibration": ""}, "calibration", "nothing"),
        ({"calibration": None}, "calibration", "nothing"),
        ({"sequences": 0}, "sequences", "0"),
        ({"sequences": None}, "sequences", "None"),
        ({"sequences": 2.5}, "sequences", "2.5"),
        ({"search_sequences": 0}, "search_sequences", "0"),
        ({"search_sequences": True}, "search_sequences", "True"),
        ({"window": 1}, "window", "1"),
        ({"window": "long"}, "window", "'long'"),
        ({"windows": 0}, "windows", "0"),
        ({"windows": -3}, "windows", "-3"),
        ({"fast": 1}, "fast", "1"),
        ({"published": "yes"}, "published", "'yes'"),
        ({"published": True, "base": "b"}, "base", "b beside published"),
        ({"published": True, "method": "random"}, "method", "random beside published"),
        ({"published": True, "allocation": "dlp"}, "allocation", "dlp beside published"),
        ({"published": True, "reference": "global"}, "reference", "global beside published"),
        ({"published": True, "propagate": "dense"}, "propagate", "dense beside published"),
        ({"published": True, "fast": True}, "fast", "True beside published"),
    ],
)
def test_contradictions_of_language_models_are_told_apart(settings: dict[str, Any], subject: str, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        PruneSpec.from_dict(LM | settings)
    assert caught.value.subject == subject
    assert words in caught.value.got
    assert caught.value.wanted
    assert caught.value.remedy


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
