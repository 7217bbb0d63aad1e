"""Classifiers: predictions against transformers called sentence by sentence, swapped weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from kencore.data.examples import Examples, read_examples
from kencore.errors import (
    ConfigError,
    CorruptShardError,
    DeviceNotFoundError,
    NonFiniteWeightError,
    NoSafetensorsError,
    ShapeError,
    SourceNotFoundError,
    TaskMismatchError,
)
from kencore.models.classifier import Classifier, longest_input
from kencore.models.figures import quality_of
from kencore.models.names import stored_tensors
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer

MakeModel = Callable[..., Path]
EXAMPLES = Examples(
    texts=(
        "a good film",
        "bad",
        "the story is very dull and it is not good",
        "no story",
        "it was bright and good and very very very very very very good and not dull",
        "a bad bad film",
        "the film is not bad",
    ),
    labels=(1, 0, 0, 0, 1, 0, 1),
)


def one_by_one(folder: Path, examples: Examples) -> np.ndarray:
    """The reference: every sentence alone, no padding, weights widened to float32."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for i, text in enumerate(examples.texts):
        pair = None if examples.pairs is None else examples.pairs[i]
        inputs = tokenizer(text, pair, truncation=True, return_tensors="pt")
        with torch.no_grad():
            rows.append(model(**inputs).logits[0].numpy())
    return np.stack(rows)


# --- predictions ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_predictions_are_the_models_own(make_model: MakeModel, kind: str, dtype: torch.dtype) -> None:
    folder = make_model(kind, dtype=dtype, pad=kind != "gpt2", limit=10)
    found = Classifier.load(folder).predict(EXAMPLES, batch=3)
    wanted = one_by_one(folder, EXAMPLES)
    np.testing.assert_allclose(found.logits, wanted, atol=2e-5)
    assert found.logits.dtype == np.float32
    assert found.labels.tolist() == wanted.argmax(1).tolist()
    assert found.truth.tolist() == list(EXAMPLES.labels)
    assert found.correct.tolist() == (wanted.argmax(1) == EXAMPLES.labels).tolist()


@pytest.mark.parametrize("kind", ["deberta-v2", "electra", "modernbert", "albert"])
def test_other_architectures_are_judged_alike(kind: str, tmp_path: Path) -> None:
    """With padding: accuracy and every F1 are scikit-learn's of the answers one by one."""
    folder = add_tokenizer(save_pair(kind, tmp_path, change=0.3)[1])
    texts = tuple(" ".join(f"w{3 + (7 * i + 3 * j) % 90}" for j in range(2 + i % 9)) for i in range(24))
    examples = Examples(texts=texts, labels=tuple(i % 2 for i in range(24)))
    wanted = one_by_one(folder, examples)
    classifier = Classifier.load(folder)
    np.testing.assert_allclose(classifier.predict(examples).logits, wanted, atol=2e-5)
    found, answers = classifier.quality(examples), wanted.argmax(1)
    assert found["accuracy"] == np.mean(answers == examples.labels)
    for average in ("binary", "macro", "weighted"):
        f1 = f1_score(examples.labels, answers, average=average, zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(f1)
        assert found[f"f1_{average}_low"] <= f1 <= found[f"f1_{average}_high"]


def test_pairs_go_in_as_pairs(make_model: MakeModel) -> None:
    folder = make_model()
    pairs = Examples(texts=("a film", "no"), pairs=("good", "the story is dull"), labels=(1, 0))
    found = Classifier.load(folder).predict(pairs)
    np.testing.assert_allclose(found.logits, one_by_one(folder, pairs), atol=2e-5)


def test_two_predictions_are_identical_and_batches_do_not_matter(make_model: MakeModel) -> None:
    classifier = Classifier.load(make_model(), threads=1)
    first = classifier.predict(EXAMPLES, batch=2)
    assert np.array_equal(first.logits, classifier.predict(EXAMPLES, batch=2).logits)
    np.testing.assert_allclose(first.logits, classifier.predict(EXAMPLES).logits, atol=2e-5)


def test_threads_are_given_back(make_model: MakeModel) -> None:
    before = torch.get_num_threads()
    Classifier.load(make_model(), threads=before + 1).predict(EXAMPLES)
    assert torch.get_num_threads() == before


def test_long_sentences_are_cut_at_the_models_limit(make_model: MakeModel) -> None:
    assert longest_input(Classifier.load(make_model())) == 12
    assert longest_input(Classifier.load(make_model(limit=7))) == 7
    assert longest_input(Classifier.load(make_model(limit=10**30))) == 12
    # RoBERTa's positions start after the padding row: 12 rows hold 10 tokens
    assert longest_input(Classifier.load(make_model("roberta", limit=10**30))) == 10
    assert longest_input(Classifier.load(make_model("gpt2", limit=10**30))) == 12
    long = Examples(texts=("good " * 40,), labels=(1,))
    for kind in ("bert", "roberta", "distilbert", "gpt2"):
        classifier = Classifier.load(make_model(kind, limit=10**30))
        assert classifier.predict(long).logits.shape == (1, 2)


def test_quality_and_progress(make_model: MakeModel) -> None:
    classifier = Classifier.load(make_model())
    calls: list[tuple[float, float, str]] = []
    found = classifier.quality(EXAMPLES, batch=3, progress=lambda *call: calls.append(call))
    # no batch holds sentences of two lengths: the last two are as long
    assert [call[:2] for call in calls] == [(1, 7), (2, 7), (3, 7), (4, 7), (5, 7), (7, 7)]
    assert found.pop("seconds") >= 0
    wanted = quality_of(classifier.predict(EXAMPLES, batch=3))
    assert found == wanted


def test_progress_may_stop_the_work(make_model: MakeModel) -> None:
    def stop(done: float, total: float, message: str) -> None:
        raise InterruptedError(message)

    with pytest.raises(InterruptedError, match="1 of 7 sentences"):
        Classifier.load(make_model()).predict(EXAMPLES, batch=1, progress=stop)


def test_the_quality_of_a_file(make_model: MakeModel, tmp_path: Path) -> None:
    folder, data = make_model(), tmp_path / "data.tsv"
    rows = zip(EXAMPLES.texts, EXAMPLES.labels, strict=True)
    data.write_text("".join(f"{text}\t{label}\n" for text, label in rows), encoding="utf-8")
    found = Classifier.load(folder).quality(read_examples(data))
    right = (one_by_one(folder, EXAMPLES).argmax(1) == EXAMPLES.labels).mean()
    assert found["accuracy"] == pytest.approx(right)
    assert found["examples"] == 7


def test_weights_that_are_not_numbers(make_model: MakeModel) -> None:
    classifier = Classifier.load(make_model())
    classifier.replace({"classifier.bias": torch.tensor([0.0, float("nan")])})
    with pytest.raises(NonFiniteWeightError, match="7 of 7 examples"):
        classifier.predict(EXAMPLES)


# --- labels ---------------------------------------------------------------------------------


def test_label_names_are_the_models(make_model: MakeModel) -> None:
    classifier = Classifier.load(make_model(labels={0: "World", 1: "Sports", 2: "sports"}))
    texts = ("good", "bad", "dull", "no")
    named = Examples(texts=texts, labels=("world", "Sports", "sports", "WORLD"))
    assert classifier.label_numbers(named).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("label", [2, -1, "neutral"])
def test_a_label_the_model_does_not_know(make_model: MakeModel, label: int | str) -> None:
    first: int | str = 0 if isinstance(label, int) else "negative"
    examples = Examples(texts=("good", "bad"), labels=(first, label), source="my.tsv")
    with pytest.raises(TaskMismatchError) as caught:
        Classifier.load(make_model()).predict(examples)
    assert f"{label!r} at example 2" in str(caught.value)
    assert "0 (negative), 1 (positive)" in str(caught.value)


# --- swapping weights -----------------------------------------------------------------------


def other_values(folder: Path) -> dict[str, torch.Tensor]:
    torch.manual_seed(11)
    return {name: torch.randn(t.shape).to(t.dtype) for name, t in stored_tensors(folder)}


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_replaced_weights_act_as_if_loaded(make_model: MakeModel, kind: str, dtype: torch.dtype) -> None:
    folder = make_model(kind, dtype=dtype, limit=10)
    classifier = Classifier.load(folder)
    before = classifier.predict(EXAMPLES).logits
    old, new = dict(stored_tensors(folder)), other_values(folder)
    for name, tensor in new.items():
        classifier.replace({name: tensor})
    after = classifier.predict(EXAMPLES).logits
    save_file(new, folder / "model.safetensors", metadata={"format": "pt"})
    assert np.array_equal(after, Classifier.load(folder).predict(EXAMPLES).logits)
    assert not np.array_equal(after, before)
    classifier.replace(old)
    assert np.array_equal(classifier.predict(EXAMPLES).logits, before)


def rename(folder: Path, change: Callable[[str], str]) -> None:
    path = folder / "model.safetensors"
    save_file({change(name): tensor for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.removeprefix("bert."),
        lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
    ],
    ids=["no prefix", "old names of norms"],
)
def test_names_on_disk_that_transformers_renames(make_model: MakeModel, change: Callable[[str], str]) -> None:
    folder = make_model()
    plain = Classifier.load(folder)
    new = other_values(folder)
    plain.replace(new)
    rename(folder, change)
    renamed = Classifier.load(folder)
    renamed.replace({change(name): tensor for name, tensor in new.items()})
    assert np.array_equal(renamed.predict(EXAMPLES).logits, plain.predict(EXAMPLES).logits)


def test_a_sharded_model(make_model: MakeModel) -> None:
    folder = make_model()
    whole = Classifier.load(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="4KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    shards, new = Classifier.load(folder), other_values(folder)
    for classifier in (whole, shards):
        classifier.replace(new)
    assert np.array_equal(whole.predict(EXAMPLES).logits, shards.predict(EXAMPLES).logits)


def test_a_tensor_the_model_does_not_use_is_let_pass(make_model: MakeModel) -> None:
    folder = make_model()
    path = folder / "model.safetensors"
    save_file({**load_file(path), "extra": torch.ones(3)}, path, metadata={"format": "pt"})
    classifier = Classifier.load(folder)
    before = classifier.predict(EXAMPLES).logits
    classifier.replace({"extra": torch.zeros(3)})
    assert np.array_equal(classifier.predict(EXAMPLES).logits, before)


def test_wrong_names_and_shapes_change_nothing(make_model: MakeModel) -> None:
    folder = make_model()
    classifier = Classifier.load(folder)
    before = classifier.predict(EXAMPLES).logits
    good = {"classifier.bias": torch.tensor([9.0, -9.0])}
    with pytest.raises(TaskMismatchError, match="bert.nothing"):
        classifier.replace({**good, "bert.nothing": torch.ones(2)})
    with pytest.raises(ShapeError, match=r"\(16, 2\)"):
        classifier.replace({**good, "classifier.weight": torch.ones(16, 2)})
    assert np.array_equal(classifier.predict(EXAMPLES).logits, before)


def test_the_callers_tensors_are_neither_kept_nor_changed(make_model: MakeModel) -> None:
    classifier = Classifier.load(make_model())
    mine = torch.tensor([0.5, -0.5])
    classifier.replace({"classifier.bias": mine})
    before = classifier.predict(EXAMPLES).logits
    assert mine.tolist() == [0.5, -0.5]
    mine += 100
    assert np.array_equal(classifier.predict(EXAMPLES).logits, before)


# --- folders that cannot be judged ----------------------------------------------------------


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}), encoding="utf-8")


def test_a_model_without_a_head(make_model: MakeModel) -> None:
    with pytest.raises(TaskMismatchError, match="BertForMaskedLM"):
        Classifier.load(make_model("base"))


def test_a_head_that_is_only_promised(make_model: MakeModel) -> None:
    folder = make_model("base")
    edit_config(folder, architectures=["BertForSequenceClassification"])
    with pytest.raises(TaskMismatchError, match="no weights for .*classifier"):
        Classifier.load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"problem_type": "multi_label_classification"},
        {"problem_type": "regression"},
        {"id2label": {"0": "score"}},
        {"architectures": None},
    ],
)
def test_another_task(make_model: MakeModel, changes: dict[str, object]) -> None:
    folder = make_model()
    edit_config(folder, **changes)
    with pytest.raises(TaskMismatchError):
        Classifier.load(folder)


def test_no_tokenizer(make_model: MakeModel) -> None:
    with pytest.raises(TaskMismatchError, match="no tokenizer files"):
        Classifier.load(make_model(tokenizer=False))


def test_broken_folders(make_model: MakeModel, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError):
        Classifier.load(tmp_path / "absent")
    folder = make_model()
    with pytest.raises(DeviceNotFoundError):
        Classifier.load(folder, device="cuda:99")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-100])
    with pytest.raises(CorruptShardError):
        Classifier.load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(NoSafetensorsError):
        Classifier.load(folder)
    (folder / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError):
        Classifier.load(folder)


# --- a real model ---------------------------------------------------------------------------


def test_a_real_classifier_scores_what_its_own_log_says(shared: Path) -> None:
    folder = shared / "models" / "minilm-sst2"
    found = Classifier.load(folder).quality(read_examples(shared / "data" / "sst2" / "dev.tsv"))
    assert round(found["accuracy"], 3) == 0.876
    log = json.loads((folder / "ft_log.json").read_text(encoding="utf-8"))[-1]
    assert found["accuracy"] == pytest.approx(log["acc"])
    assert found["f1_binary"] == pytest.approx(log["f1_pos"])
    assert found["f1_macro"] == pytest.approx(log["f1_macro"])
    assert found["f1_weighted"] == pytest.approx(log["f1_weighted"])


def test_a_tokenizer_without_a_limit_is_bounded_by_the_config(make_model: Callable[..., Path], tmp_path: Path) -> None:
    """Rotary models have no table of positions, and their tokenizers often state no limit."""
    (tmp_path / "long.tsv").write_text("a good film " * 30 + "\t1\n" + "dull\t0\n")
    classifier = Classifier.load(make_model("llama", limit=None))
    assert longest_input(classifier) == 12
    assert classifier.quality(read_examples(tmp_path / "long.tsv"))["examples"] == 2


def test_names_of_0_1_0_are_the_ones_of_today() -> None:
    from kencore.data.examples import read_examples
    from kencore.evaluate import accuracy

    assert (accuracy.Classifier, accuracy.read_examples) == (Classifier, read_examples)
