"""How far answers move to second order, against the divergence itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kencore.data.examples import Examples, read_examples
from kencore.models.classifier import Classifier
from kencore.models.language import LanguageModel
from kencore.quality.answers import divergence, log_chances
from kencore.quality.second_order import Changes, _direction, nats, others, sentences, windows
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer
from tests.support.tuned_cases import write_sentences

SEEDS = 30


def test_directions_have_the_information_of_the_answer() -> None:
    logits = torch.tensor([0.3, -1.2, 0.8, 0.1])
    found = _direction(logits.repeat(40_000, 1), torch.Generator().manual_seed(0)).double()
    chances = logits.double().softmax(0)
    expected = torch.diag(chances) - torch.outer(chances, chances)
    assert torch.allclose(found.T @ found / len(found), expected, atol=4e-3)
    assert found.sum(dim=1).abs().max() < 1e-6


@pytest.mark.parametrize("count", [60, 512, 611, 612, 700, 1500, 5000])
def test_orders_are_compared_on_sentences_without_a_gradient(count: int) -> None:
    class Model:
        """Reads each sentence as a token of its own."""

        def tokens(self, examples: Examples) -> list[dict[str, list[int]]]:
            return [{"input_ids": [int(text)], "attention_mask": [1]} for text in examples.texts]

        def batch_size(self, batch: int) -> int:
            return batch

    all_of = Examples(texts=tuple(map(str, range(count))), labels=(0, 1) * (count // 2) + (0,) * (count % 2))
    passes: Any = sentences(Model(), all_of, 512)  # type: ignore[arg-type]
    read = {int(row) for one in passes for row in one.inputs["input_ids"].flatten()}
    other = others(all_of)
    found = other.data
    assert isinstance(found, Examples)
    assert other.fresh == (count >= 612)
    assert len(read) == min(count, 512)
    assert found.labels == tuple(all_of.labels[int(text)] for text in found.texts)
    assert len(set(found.texts)) == len(found.texts) == min(512, count - 512 if count >= 612 else count)
    assert bool(read & set(map(int, found.texts))) == (count < 612)
    assert max(read) > 0.9 * count  # of all of the table


def measured(loaded: Any, passes: list[Any], name: str, changes: list[np.ndarray]) -> np.ndarray:
    found = []
    for seed in range(SEEDS):
        held = Changes(changes[0].shape, len(changes))
        for change in changes:
            held.add(change)
        found.append(nats(loaded, passes, {name: held}, seed=seed)[name])
    return np.mean(found, axis=0)


@pytest.mark.parametrize("name", ["bert.encoder.layer.0.attention.self.query.weight", "classifier.weight"])
def test_a_small_change_of_a_classifier_moves_answers_as_far_as_is_said(name: str, tmp_path: Path) -> None:
    _, tuned = save_pair("bert", tmp_path)
    add_tokenizer(tuned)
    model = Classifier.load(tuned, threads=1)
    examples = read_examples(str(write_sentences(tmp_path / "some.tsv", 40)))
    with torch.no_grad():  # answers of a model that was not trained hardly depend on its weights
        model.model.classifier.weight *= 20
    weight = model.model.state_dict()[name].clone()
    rng = np.random.default_rng(0)
    changes = [rng.normal(0, size, tuple(weight.shape)).astype(np.float32) for size in (2e-3, 4e-3)]
    said = measured(model, list(sentences(model, examples, 40)), name, [*changes, np.zeros_like(changes[0])])
    assert said[2] == 0
    before = log_chances(model.predict(examples).logits)
    for change, one in zip(changes, said, strict=False):
        model.replace({name: weight + torch.from_numpy(change)})
        kl = divergence(before, log_chances(model.predict(examples).logits)).mean()
        model.replace({name: weight})
        assert one == pytest.approx(kl, rel=0.35)


def test_a_small_change_of_a_language_model_too(tmp_path: Path) -> None:
    _, tuned = save_pair("llama", tmp_path)
    add_tokenizer(tuned)
    model = LanguageModel.load(tuned, threads=1)
    ids = torch.from_numpy(np.random.default_rng(1).integers(0, model.rows or 50, (4, 24)))
    name = next(one for one in model.parameters if one.endswith("down_proj.weight"))
    weight = model.model.state_dict()[model.parameters[name][0]].clone()
    change = np.random.default_rng(2).normal(0, 5e-3, tuple(weight.shape)).astype(np.float32)
    said = measured(model, list(windows(model, ids)), name, [change])[0]
    with torch.inference_mode():
        before = model.model(input_ids=ids).logits[:, :-1].log_softmax(-1)
        model.replace({name: weight + torch.from_numpy(change)})
        after = model.model(input_ids=ids).logits[:, :-1].log_softmax(-1)
    kl = float((before.exp() * (before - after)).sum(-1).mean())
    assert said == pytest.approx(kl, rel=0.35)


def test_a_parameter_that_the_model_lacks_has_no_answer(tmp_path: Path) -> None:
    _, tuned = save_pair("bert", tmp_path)
    add_tokenizer(tuned)
    model = Classifier.load(tuned, threads=1)
    examples = read_examples(str(write_sentences(tmp_path / "some.tsv", 8)))
    held = Changes((2, 3), 1)
    held.add(np.ones((2, 3), np.float32))
    assert nats(model, list(sentences(model, examples, 8)), {"no.such.weight": held}) == {}
