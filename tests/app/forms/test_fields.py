"""Forms in the address: each setting of each form says what reading gives back, and nothing else
is a setting."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.forms import address as form_address
from app.forms import prune as prune_form
from app.forms import recover as recover_form
from app.forms import sweep as tradeoff_form
from app.forms.address import Table
from app.forms.model import Subject
from app.forms.recover import USUAL
from kencore.allocate.table import ALLOCATIONS
from kencore.settings.prune import PROPAGATIONS, REFERENCES, RESCALES, STEPS, PruneSpec
from kencore.settings.recover import AS_THE_RUN, SCHEDULES, TRAINS, RecoverSpec
from kencore.settings.sweep import SweepSpec

SUBJECTS = [
    Subject(kind=kind, rest=rest, fields={})
    for kind, rest in (("demo", "base"), ("demo-lm", "zero"), ("demo-lm", "base"), ("own", "base"), ("own", "zero"))
]
TABLES: dict[str, Table] = {
    f"{page} {subject.kind} {subject.rest}{' on text' * streams}": form.fields(subject, streams=streams)
    for page, form in (("prune", prune_form), ("sweep", tradeoff_form))
    for subject in SUBJECTS
    for streams in (False, True)
}
TABLES |= {
    f"recover {kind} {judged_on}": recover_form.fields(kind, judged_on)
    for kind in USUAL
    for judged_on in (None, AS_THE_RUN, "demo")
}

numbers = st.integers(1, 10_000)
names = st.text("abc /.=&%+ü", min_size=1).map(str.strip).filter(lambda text: text)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "keep": st.integers(1, 99).map(lambda percent: percent / 100),
    "k": numbers,
    "seed": st.integers(0, 2**53 - 1),
    "keeps": st.lists(st.floats(0, 1, exclude_min=True), min_size=1, unique=True).map(tuple),
    "seeds": st.lists(st.integers(0, 2**63 - 1), min_size=1, unique=True).map(tuple),
    "scope": st.lists(names, min_size=1, unique=True).map(tuple),
    "evaluation": st.none() | names.filter(lambda text: text != "none"),
    "calibration": names,
    "data": names,
    "held_out": st.none() | names | st.just(""),
    "device": st.sampled_from(["auto", "cpu", "cuda", "mps", "cuda:3"]),
    "sequences": numbers,
    "search_sequences": numbers,
    "epochs": numbers,
    "window": st.none() | st.integers(2, 1_000_000),
    "windows": st.none() | numbers,
    "batch": st.none() | numbers,
    "patience": st.none() | st.integers(1, 1000),
    "held_out_share": st.integers(1, 90).map(lambda percent: percent / 100),
    "lr": st.floats(1e-8, 1),
    "bits": st.integers(1, 3200).map(lambda hundredths: hundredths / 100),
    "bytes": st.none() | numbers,
    "kl": st.none() | st.floats(1e-6, 10),
    "same": st.none() | st.floats(0.5, 1),
    "weight_decay": st.floats(0, 0.99),
    "allocation": st.sampled_from(list(ALLOCATIONS)),
    "rescale": st.sampled_from(RESCALES),
    "step": st.sampled_from(STEPS),
    "refine": st.sampled_from(["none", "dsnot"]),
    "reference": st.sampled_from(REFERENCES),
    "propagate": st.sampled_from(PROPAGATIONS),
    "train": st.sampled_from(TRAINS),
    "schedule": st.sampled_from(SCHEDULES),
    "method": st.just("random"),
    "methods": st.permutations(["random", "magnitude"]).map(tuple),
    "allocations": st.lists(st.sampled_from(list(ALLOCATIONS)), min_size=1, unique=True).map(tuple),
    "rescales": st.lists(st.sampled_from(RESCALES), min_size=1, unique=True).map(tuple),
}


def asked(table: Table, draw: Any) -> dict[str, Any]:
    """Some value for every setting of a table."""
    bits = st.lists(VALUES["bits"], min_size=1, unique=True).map(tuple)  # of a sweep several
    own = VALUES | ({"bits": bits} if "methods" in table else {})
    found = {name: draw(own.get(name, st.booleans()), label=name) for name in table}
    if any("judge" in field.key for field in table.values()):
        found["evaluation"] = draw(st.sampled_from([None, table["evaluation"].usual]))
    return found


@given(which=st.sampled_from(list(TABLES)), draw=st.data())
def test_what_a_form_says_is_what_reading_gives_back(which: str, draw: Any) -> None:
    table = TABLES[which]
    settings = asked(table, draw.draw)
    said = form_address.say(table, settings)
    found, wrong = form_address.read(said, table)
    assert not wrong
    assert found == settings
    assert all(said[name] != "" or name == "held_out" for name in said)
    assert form_address.say(table, found) == said


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_what_is_as_usual_is_left_out(table: Table) -> None:
    found, wrong = form_address.read({}, table)
    assert not wrong
    assert form_address.say(table, found) == {}


@given(which=st.sampled_from(list(TABLES)), text=st.text(), draw=st.data())
def test_no_text_is_more_than_a_mistake_and_what_is_read_can_be_said(which: str, text: str, draw: Any) -> None:
    table = TABLES[which]
    name = draw.draw(st.sampled_from(list(table)))
    found, wrong = form_address.read({name: text}, table)
    if wrong:
        assert found[name] == table[name].usual
        assert f"{name} in the address" in str(wrong[0])
    again, none = form_address.read(form_address.say(table, found), table)
    assert not none
    assert again == found


@pytest.mark.parametrize(
    ("form", "tables", "spec", "others"),
    [
        (prune_form.FORM, "prune", PruneSpec, set()),
        (tradeoff_form.FORM, "sweep", SweepSpec, set()),
        (recover_form.FORM, "recover", RecoverSpec, {"run"}),
    ],
)
def test_a_form_knows_every_name_of_its_settings(
    form: form_address.Form, tables: str, spec: Any, others: set[str]
) -> None:
    """Also those that it has no widget for: they are said, not passed over in silence."""
    assert set(form.names) == {field.name for field in fields(spec)} - others
    for title, table in TABLES.items():
        if title.startswith(tables):
            assert set(table) <= set(form.names)
            assert len({field.key for field in table.values()}) == len(table)


@given(st.floats(0, 1, exclude_min=True))
def test_a_share_as_a_word_is_the_same_share(share: float) -> None:
    word = tradeoff_form.percent(share)
    assert tradeoff_form.share(word) == share
    assert "E" not in word


def test_shares_that_are_offered_are_their_own_words() -> None:
    for word in tradeoff_form.SHARES:
        assert tradeoff_form.percent(tradeoff_form.share(word)) == word


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e-400", "0x1", "", "0"])
def test_numbers_that_are_none(text: str) -> None:
    sweep = TABLES["sweep demo base"]
    tune = TABLES["recover demo None"]
    assert len(form_address.read({"keeps": text}, sweep)[1]) == 1
    assert len(form_address.read({"lr": text, "held_out_share": text}, tune)[1]) == 2
    assert math.isfinite(tune["lr"].usual)
