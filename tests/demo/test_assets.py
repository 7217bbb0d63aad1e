"""What ships with the project as a demo: the encoder pair, its card, the labelled sentences."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kencore.data.examples import read_examples
from kencore.models.classifier import Classifier
from kencore.models.names import stored_tensors
from kencore.runs.restore import apply
from kencore.runs.run import Run
from kencore.words.run import near

DEMO = Path(__file__).resolve().parents[2] / "assets" / "demo"
ENCODER = DEMO / "encoder"
CARD = (DEMO / "README.md").read_text(encoding="utf-8")
LARGEST = 6_000_000  # bytes, both folders together


def tensors(which: str) -> dict[str, torch.Tensor]:
    return load_file(ENCODER / which / "model.safetensors")


def figures(row: str) -> tuple[int, float, float]:
    """Examples, accuracy and F1 in per cent from a row of the card's table."""
    found = re.search(rf"^\| {re.escape(row)} \| ([\d,]+) \| ([\d.]+) \| ([\d.]+) \|", CARD, flags=re.MULTILINE)
    assert found is not None, f"the card has no row {row}"
    return int(found[1].replace(",", "")), float(found[2]), float(found[3])


# --- the pair -------------------------------------------------------------------------------


def test_the_pair_is_small_and_holds_nothing_else() -> None:
    files = [path for path in ENCODER.rglob("*") if path.is_file()]
    names = {path.relative_to(ENCODER).as_posix() for path in files}
    each = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    assert names == {f"{which}/{name}" for which in ("base", "tuned") for name in each}
    size = sum(path.stat().st_size for path in files)
    assert size <= LARGEST
    assert f"{size:,} bytes" in CARD


@pytest.mark.parametrize("which", ["base", "tuned"])
def test_weights_are_finite_half_precision(which: str) -> None:
    for name, tensor in stored_tensors(ENCODER / which):
        assert tensor.dtype == torch.float16, name
        assert bool(torch.isfinite(tensor).all()), name


def test_tuning_changed_every_parameter_of_the_encoder() -> None:
    base, tuned = tensors("base"), tensors("tuned")
    shared = sorted(set(base) & set(tuned))
    assert [name for name in shared if base[name].shape != tuned[name].shape] == []
    assert [name for name in shared if torch.equal(base[name], tuned[name])] == []
    only_tuned = {name.split(".")[0] + "." + name.split(".")[1] for name in set(tuned) - set(base)}
    assert only_tuned == {"bert.pooler", "classifier.weight", "classifier.bias"}
    assert all(name.startswith("cls.predictions.") for name in set(base) - set(tuned))
    for name in shared:
        if base[name].ndim == 2 and "token_type" not in name:
            share = float((base[name] != tuned[name]).float().mean())
            assert share > 0.5, f"{name}: only {share:.0%} of the entries changed"


def test_both_read_text_alike() -> None:
    files = [(ENCODER / which / "tokenizer.json").read_bytes() for which in ("base", "tuned")]
    assert files[0] == files[1]
    tokenizer = Classifier.load(ENCODER / "tuned").tokenizer
    # review data sets write "does n't", people write "doesn't" or "doesn’t"
    plain = tokenizer("It doesn't work.")["input_ids"]
    assert tokenizer("it does n't work .")["input_ids"] == plain
    assert tokenizer("It doesn’t work.")["input_ids"] == plain
    assert tokenizer.unk_token_id not in plain
    unknown = [text for text in read_examples("demo").texts if tokenizer.unk_token_id in tokenizer(text)["input_ids"]]
    assert unknown == []


# --- the card -------------------------------------------------------------------------------


def test_the_card_says_what_a_user_must_know() -> None:
    for word in (
        "CC BY-SA",
        "WikiText-2",
        "WikiSplit",
        "SST-2",
        "no licence",
        "Limitations",
        "demonstration",
        "Apache-2.0",
        "python assets/demo/train_encoder.py --data ../shared/data",
        f"{sum(t.numel() for t in tensors('tuned').values()):,} parameters",
    ):
        assert word in CARD, word


def test_the_cards_figures_on_the_demo_sentences() -> None:
    found = Classifier.load(ENCODER / "tuned", threads=1).quality(read_examples("demo"))
    examples, accuracy, f1 = figures("demo sentences")
    assert examples == found["examples"]
    assert accuracy == pytest.approx(100 * found["accuracy"], abs=0.0501)
    assert f1 == pytest.approx(100 * found["f1_binary"], abs=0.0501)
    assert found["accuracy_low"] > 0.6, "the demo must be clearly better than a coin"


@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_cards_figures_on_sst2(shared: Path, split: str) -> None:
    data = read_examples(shared / "data" / "sst2" / f"{split}.tsv")
    found = Classifier.load(ENCODER / "tuned", threads=1).quality(data)
    examples, accuracy, f1 = figures(f"SST-2 {split}")
    assert examples == found["examples"]
    assert accuracy == pytest.approx(100 * found["accuracy"], abs=0.0501)
    assert f1 == pytest.approx(100 * found["f1_binary"], abs=0.0501)


def test_the_base_with_the_tuned_head_is_worse() -> None:
    classifier = Classifier.load(ENCODER / "tuned", threads=1)
    dense = classifier.quality(read_examples("demo"))
    encoder = {name: tensor for name, tensor in tensors("base").items() if name.startswith("bert.")}
    classifier.replace(encoder)
    base = classifier.quality(read_examples("demo"))
    assert base["accuracy"] < dense["accuracy_low"]


@pytest.mark.parametrize("run", ["demo/run", "gallery/runs/demo-delta"])
def test_shipped_runs_say_how_near_their_answers_are(run: str) -> None:
    """Against plain torch."""
    classifier, texts = Classifier.load(ENCODER / "tuned", threads=1), read_examples("demo").texts
    found = Run(DEMO.parent / run)

    def chances() -> torch.Tensor:
        ids = classifier.tokenizer(list(texts), padding=True, truncation=True, max_length=128, return_tensors="pt")
        with torch.no_grad():
            return classifier.model(**ids).logits.double().log_softmax(dim=1)

    dense = chances()
    classifier.replace(apply(found))
    pruned = chances()
    said = found.metrics["pruned"]["versus_dense"]
    kl = torch.nn.functional.kl_div(pruned, dense, reduction="batchmean", log_target=True)
    assert said["kl"] == pytest.approx(float(kl), rel=1e-3)
    assert said["same_answer"] == pytest.approx(float((pruned.argmax(1) == dense.argmax(1)).double().mean()), abs=0.003)
    assert f"{said['kl']:.2g} nats" in str(near(found.metrics))


# --- the sentences --------------------------------------------------------------------------


def letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def four_grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z']+", text.lower())
    return {tuple(words[i : i + 4]) for i in range(len(words) - 3)}


def test_there_are_enough_sentences_of_both_kinds() -> None:
    examples = read_examples("demo")
    count = Counter(examples.labels)
    assert set(count) == {0, 1}
    assert count[0] == count[1] >= 160
    assert f"{len(examples)} sentences" in CARD
    assert len({letters(text) for text in examples.texts}) == len(examples)


def test_the_sentences_vary() -> None:
    texts = read_examples("demo").texts
    lengths = np.array([len(text.split()) for text in texts])
    assert lengths.min() <= 5
    assert lengths.max() >= 30
    assert np.quantile(lengths, 0.9) - np.quantile(lengths, 0.1) >= 6
    openings = Counter(" ".join(text.lower().split()[:2]) for text in texts)
    assert max(openings.values()) <= len(texts) // 30
    words = {word for text in texts for word in re.findall(r"[a-z']+", text.lower())}
    assert len(words) > 1500
    assert all(text == text.strip() and text.isprintable() for text in texts)


def test_no_two_sentences_share_much() -> None:
    grams = [four_grams(text) for text in read_examples("demo").texts]
    holders: dict[tuple[str, ...], list[int]] = {}
    for i, own in enumerate(grams):
        for gram in own:
            holders.setdefault(gram, []).append(i)
    shared = Counter((a, b) for held in holders.values() for i, a in enumerate(held) for b in held[i + 1 :])
    most = max((n / min(len(grams[a]), len(grams[b])) for (a, b), n in shared.items()), default=0)
    assert most <= 0.25


def test_no_sentence_is_from_a_data_set(shared: Path) -> None:
    data = shared / "data"
    known: set[str] = set()
    for split in ("train", "dev", "test"):
        known |= set(map(letters, read_examples(data / "sst2" / f"{split}.tsv").texts))
    for side in ("pos", "neg"):
        lines = (data / "rt-polarity" / f"rt-polarity.{side}").read_text(encoding="utf-8")
        known |= set(map(letters, lines.split("\n")))
    assert len(known) > 10_000
    assert [text for text in read_examples("demo").texts if letters(text) in known] == []
