"""Two continuations of a text, against transformers' own greedy search on the folders that a run saves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from kencore import PruneSpec, prune
from kencore.errors import NotALanguageModelError, SpecError
from kencore.explain import ContinueSpec, continue_text, departure
from kencore.explain.continuation import greedy
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer

TEXT = "w5 w5 w30 w2 w8 w11"


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), max_size=6))
def test_departure_is_where_beginnings_stop_being_alike(first: list[int], second: list[int]) -> None:
    place = departure(first, second)
    assert departure(second, first) == place
    if place is None:
        assert first == second
        return
    assert first[:place] == second[:place]
    assert first[place : place + 1] != second[place : place + 1]


def test_greedy_stops_at_the_end_and_at_the_count() -> None:
    assert greedy(len, [7, 7], 3) == [2, 3, 4]
    assert greedy(len, [7, 7], 9, frozenset({4})) == [2, 3, 4]


def test_both_are_those_of_transformers(tmp_path: Path) -> None:
    tuned = add_tokenizer(save_pair("llama", tmp_path, change=0.2)[1])
    run = prune(PruneSpec(model=str(tuned), method="magnitude", keep=0.2), out=tmp_path / "run")
    found = continue_text(ContinueSpec(run=str(run.path), text=TEXT, tokens=8))
    for side, folder in (("dense", tuned), ("pruned", run.save_pretrained(tmp_path / "pruned"))):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        given = tokenizer(TEXT, return_tensors="pt")["input_ids"]
        made = model.generate(
            given, attention_mask=torch.ones_like(given), max_new_tokens=8, do_sample=False, pad_token_id=0
        )
        numbers = made[0, given.shape[1] :].tolist()
        assert found[side] == [tokenizer.decode([number]) for number in numbers]
    assert found["departs"] == departure(found["dense"], found["pruned"])
    assert found["departs"] is not None, "a pruning that changes nothing tests nothing"


def test_what_cannot_be_continued() -> None:
    with pytest.raises(NotALanguageModelError):
        continue_text(ContinueSpec(run="demo", text="a film"))
    for wrong in ({"text": " "}, {"text": "x" * 2001}, {"tokens": 0}, {"tokens": 201}):
        with pytest.raises(SpecError):
            ContinueSpec(**({"run": "demo-lm", "text": "x"} | wrong))
