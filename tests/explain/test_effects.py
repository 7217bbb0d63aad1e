"""What moved the answer, against gradients of whole weights by transformers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from kencore import PruneSpec, Run, prune
from kencore.cli.explain import explained
from kencore.errors import ShapeError
from kencore.explain import ExplainSpec, Explanation, explain
from kencore.explain import effects as module
from kencore.explain.maths import effects
from tests.explain.test_sentence import KINDS, TEXTS, made
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer

__all__ = ["made"]  # a fixture


def odds_and_gradients(folder: Path, kind: str, answer: int | None) -> tuple[int, float, dict[str, torch.Tensor]]:
    """The dense model's answer, its log-odds, and their gradient by every parameter of transformers' model."""
    auto: Any = AutoModelForSequenceClassification if kind == "bert" else AutoModelForCausalLM
    model = auto.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS[kind], return_tensors="pt")
    logits = model(input_ids=tokens["input_ids"]).logits[0]
    last = logits if kind == "bert" else logits[-1]
    answer = int(last.argmax()) if answer is None else answer
    chance = last.double().softmax(0)[answer]
    odds = torch.log(chance / (1 - chance))
    odds.backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    return answer, odds.item(), found


def gradient_of(name: str, found: dict[str, torch.Tensor], kind: str) -> np.ndarray[Any, Any]:
    """(R, C); GPT-2 keeps its weights the other way round."""
    own = name if name in found else f"transformer.{name}"
    gradient = found[own].double().numpy()
    return gradient.T if kind == "gpt2" else gradient


def of_biases(run: Run, name: str, *sides: dict[str, torch.Tensor]) -> float:
    """What the changed bias of a matrix did, 0 where it has none."""
    bias = name.removesuffix("weight") + "bias"
    if bias not in set(run.matrices["name"]):
        return 0.0
    change = (run.values(bias, "pruned") - run.values(bias, "tuned")).ravel().astype(np.float64)
    own = bias if bias in sides[0] else f"transformer.{bias}"
    return float(np.mean([side[own].double().numpy() @ change for side in sides]))


@pytest.mark.parametrize("kind", KINDS)
def test_effects_are_gradients_times_changes(made: dict[str, tuple[Run, Explanation, Path]], kind: str) -> None:
    run, found, pruned = made[kind]
    answer, before, dense = odds_and_gradients(Path(run.tuned_tensors.folder), kind, None)
    _, after, other = odds_and_gradients(pruned, kind, answer)
    told = found.facts["effects"]
    assert told["answer"] == found.facts["answers"][0]["text"]
    assert told["dense"] == pytest.approx(before, abs=1e-4)
    assert told["pruned"] == pytest.approx(after, abs=1e-4)
    assert set(told["matrices"]) == set(found.facts["matrices"])
    total = 0.0
    for name, one in told["matrices"].items():
        change = (run.values(name, "pruned") - run.values(name, "tuned")).astype(np.float64)
        both = [(gradient_of(name, side, kind) * change).sum(axis=1) for side in (dense, other)]  # R
        rows = (both[0] + both[1]) / 2
        assert one["effect"] == pytest.approx(float(rows.sum()), abs=1e-4)
        assert [line["effect"] for line in one["rows"]] == pytest.approx(
            sorted(rows, key=abs, reverse=True)[: module.ROWS], abs=1e-4
        )
        for line in one["rows"]:
            assert rows[line["row"]] == pytest.approx(line["effect"], abs=1e-4)
        total += one["effect"]
    total += told["entry"] + told["biases"]
    assert told["biases"] == pytest.approx(
        sum(of_biases(run, name, dense, other) for name in told["matrices"]), abs=1e-4
    )
    assert (told["entry"] == 0) == (kind == "llama")  # whose embeddings stayed
    assert told["others"] == pytest.approx(told["pruned"] - told["dense"] - total)


def test_a_small_change_adds_up(tmp_path: Path) -> None:
    """Where matrices of the blocks alone changed, and a little, first order is nearly all of it."""
    base, tuned = save_pair("llama", tmp_path, change=0.002)
    add_tokenizer(tuned)
    run = prune(
        PruneSpec(model=str(tuned), base=str(base), keep=0.5, scope="blocks", vectors=False), out=tmp_path / "run"
    )
    told = explain(ExplainSpec(run=str(run.path), text=TEXTS["llama"])).facts["effects"]
    moved = told["pruned"] - told["dense"]
    assert abs(moved) > 1e-5
    assert abs(told["others"]) < 0.05 * max(abs(one["effect"]) for one in told["matrices"].values())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_looked_at_first_moved_the_answer(made: dict[str, tuple[Run, Explanation, Path]], kind: str) -> None:
    run, found, _ = made[kind]
    told = found.facts["effects"]
    way = np.sign(told["pruned"] - told["dense"])
    name = found.telling(run)
    assert way * told["matrices"][name]["effect"] == max(way * one["effect"] for one in told["matrices"].values())
    row, token = found.chosen(run, name)
    line = next(one for one in told["matrices"][name]["rows"] if one["row"] == row)
    assert (line["effect"] > 0) == (told["matrices"][name]["effect"] > 0)
    assert line["token"] == token
    assert row in found.neurons(name)


def test_no_gradient_is_taken_through_long_texts(
    made: dict[str, tuple[Run, Explanation, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, full, _ = made["gpt2"]
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    found = explain(ExplainSpec(run=str(run.path), text=TEXTS["gpt2"]))
    assert found.facts["effects"] == module.TOO_LONG
    assert found.facts["answers"][0]["text"] == full.facts["answers"][0]["text"]
    name = found.telling(run)  # looked at by what changed most, as ever
    row, _ = found.chosen(run, name)
    assert row == found.facts["matrices"][name]["rows"][0]["row"]


def test_the_limit_sees_all_blocks_whatever_is_asked(tmp_path: Path) -> None:
    """A pass keeps what all blocks read and give; several layers may be one module."""
    for kind in ("llama", "albert", "mixtral"):
        _, tuned = save_pair(kind, tmp_path / kind)
        config = (
            AutoModelForCausalLM.from_pretrained(tuned).config
            if kind != "albert"
            else AutoModel.from_pretrained(tuned).config
        )
        model = AutoModel.from_pretrained(tuned)
        blocks = model.encoder.albert_layer_groups if kind == "albert" else model.layers
        longest = next(tokens for tokens in range(1, 10**7, 97) if module.why_not(config, list(blocks), tokens))
        saved = _saved_for_backward(model, tokens=8)
        assert saved <= module.MOST_BYTES * 8 / longest * 2


def _saved_for_backward(model: Any, tokens: int) -> int:
    """Bytes of activations that torch keeps for a gradient, parameters not counted."""
    known = {parameter.data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in known:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        model.eval()(input_ids=torch.arange(tokens)[None] + 3)
    return sum(kept.values())


@pytest.mark.parametrize(("kind", "scope"), [("gpt2", "embedding"), ("llama", "lm_head.weight")])
def test_where_no_matrix_of_a_block_was_pruned_the_answer_is_given(tmp_path: Path, kind: str, scope: str) -> None:
    base, tuned = save_pair(kind, tmp_path, change=0.2)
    add_tokenizer(tuned)
    run = prune(PruneSpec(model=str(tuned), base=str(base), keep=0.4, scope=scope), out=tmp_path / "run")
    found = explain(ExplainSpec(run=str(run.path), text=TEXTS[kind]))
    told = found.facts["effects"]
    assert told["matrices"] == {}
    assert told["entry"] + told["others"] == pytest.approx(told["pruned"] - told["dense"])
    assert (told["entry"] != 0) == (scope == "embedding")
    assert explained(found.facts).count("Log-odds") == 1


def test_an_answer_without_a_gradient_is_an_answer(
    made: dict[str, tuple[Run, Explanation, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, full, _ = made["bert"]

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("derivative is not implemented")

    monkeypatch.setattr(torch.autograd, "grad", broken)
    found = explain(ExplainSpec(run=str(run.path), text=TEXTS["bert"]))
    assert found.facts["effects"] == module.NO_GRADIENT
    assert found.facts["answers"] == full.facts["answers"]
    assert found.facts["distance"]["relative"] == pytest.approx(full.facts["distance"]["relative"])


@given(seed=st.integers(0, 999), tokens=st.integers(1, 4), rows=st.integers(1, 5), cols=st.integers(1, 6))
def test_effects_against_a_loop(seed: int, tokens: int, rows: int, cols: int) -> None:
    rng = np.random.default_rng(seed)
    change = rng.normal(size=(rows, cols))
    x, y = rng.normal(size=(2, tokens, cols))
    g, h = rng.normal(size=(2, tokens, rows))
    found = effects((x @ change.T, y @ change.T), (g, h))
    for t in range(tokens):
        for r in range(rows):
            want = (g[t, r] * (change[r] @ x[t]) + h[t, r] * (change[r] @ y[t])) / 2
            assert found[t, r] == pytest.approx(want, abs=1e-9)
    with pytest.raises(ShapeError):
        effects((x @ change.T, y @ change.T), (g, h[:, :-1]))
