"""What labels mean to a model: every way people write them, with the right class by hand."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from kencore.data.examples import Examples, read_examples
from kencore.errors import AmbiguousLabelsError, TaskMismatchError
from kencore.models.labels import meaning_of


def config(names: dict[Any, Any], label2id: Any = "of the names") -> Any:
    known = {str(name): number for number, name in names.items()} if label2id == "of the names" else label2id
    return SimpleNamespace(id2label=names, label2id=known, num_labels=len(names))


def numbers(config: Any, *labels: int | str, strings: bool = False) -> list[int]:
    examples = Examples(texts=("a",) * len(labels), labels=labels, strings=strings)
    return meaning_of(config, examples).numbers.tolist()


STARS = config({n: str(n + 1) for n in range(5)})
SWAPPED = config({0: 1, 1: 0})
PLAIN = config({0: "negative", 1: "positive"})
STALE = config({0: "LABEL_0", 1: "LABEL_1"})
NLI = config({0: "CONTRADICTION", 1: "NEUTRAL", 2: "ENTAILMENT"})


@pytest.mark.parametrize(
    ("model", "labels", "wanted"),
    [
        (PLAIN, (1, 0), [1, 0]),
        (PLAIN, ("positive", "Negative", "POSITIVE"), [1, 0, 1]),
        (PLAIN, ("LABEL_1", "LABEL_0"), [1, 0]),
        (PLAIN, ("1.0", "0.0"), [1, 0]),
        (PLAIN, ("True", "False"), [1, 0]),
        (PLAIN, ("positive", "LABEL_0"), [1, 0]),
        (STALE, ("LABEL_1", "label_0"), [1, 0]),
        (STALE, (1, 0), [1, 0]),
        (NLI, ("entailment", "contradiction", "neutral"), [2, 0, 1]),
        (NLI, (2, 0, 1), [2, 0, 1]),
        (STARS, (5, 1, 2), [4, 0, 1]),  # 5 is no number of a class
        (STARS, ("LABEL_0", "LABEL_4"), [0, 4]),
        (config({0: "0", 1: "1"}), (1, 0), [1, 0]),  # both readings agree
        (config({0: "False", 1: "True"}), ("True", "False"), [1, 0]),
        (config({0: "LABEL_1", 1: "LABEL_0"}), ("LABEL_1", "LABEL_0"), [0, 1]),  # names, however odd
        (config({0: "neg", 1: "pos"}, None), ("pos", "neg"), [1, 0]),
        (config({0: "neg", 1: "pos"}, {"LABEL_0": 0, "LABEL_1": 1}), ("pos", "neg", "LABEL_1"), [1, 0, 1]),
        (config({0: "LABEL_0", 1: "LABEL_1"}, {"neg": 0, "pos": "1"}), ("pos", "neg"), [1, 0]),
        (config({"0": "neg", "1": "pos"}, {"negative": 0, "positive": 1}), ("positive", "neg"), [1, 0]),
        (config({0: "neg", 1: "pos"}, ["neg", "pos"]), ("pos", "neg"), [1, 0]),
        (config({0: "World", 1: "Sports", 2: "sports"}), ("world", "Sports", "sports"), [0, 1, 2]),
    ],
)
def test_labels_that_are_clear(model: Any, labels: tuple[int | str, ...], wanted: list[int]) -> None:
    assert numbers(model, *labels) == wanted


def test_numbers_that_are_also_names() -> None:
    assert numbers(STARS, 1, 4, strings=True) == [0, 3]  # strings of a .jsonl file
    assert numbers(SWAPPED, 1, 0, strings=True) == [0, 1]
    for model in (STARS, SWAPPED):
        with pytest.raises(AmbiguousLabelsError, match=r"'1', which is the name of class 0 '1' and the number of"):
            numbers(model, 1, 1)
    assert numbers(PLAIN, 1, 0, strings=True) == [1, 0]  # strings, but no names


@pytest.mark.parametrize(
    ("model", "labels", "said"),
    [
        (config({0: "neg", 1: "pos"}, {"neg": 1, "pos": 0}), ("pos",), "'pos', which config.json calls class 0 and"),
        (config({0: "Sports", 1: "sports"}), ("SPORTS",), "class 0 and class 1"),
        (config({0: "other", 1: "other"}), ("other",), "class 0 and class 1"),
    ],
)
def test_names_that_are_not_clear(model: Any, labels: tuple[str, ...], said: str) -> None:
    with pytest.raises(AmbiguousLabelsError, match=said):
        numbers(model, *labels)


@pytest.mark.parametrize(
    ("model", "labels", "said"),
    [
        (PLAIN, (1, 2), "start at 0: write 0 to 1"),
        (PLAIN, (-1, -1), "take the validation set"),
        (PLAIN, (0, -1), "-1 at example 2"),
        (STALE, ("good", "bad"), "config.json names no classes"),
        (PLAIN, ("positive", "neutral"), r"'neutral' at example 2; wanted a label .* 0 \(negative\), 1 \(positive\)"),
        (PLAIN, ("positive", "1"), "'1' at example 2"),
        (PLAIN, ("0.5",), "'0.5' at example 1"),
        (config({1: "a", 2: "b"}), (1,), "id2label in config.json with numbers 1, 2"),
    ],
)
def test_labels_that_the_model_does_not_know(model: Any, labels: tuple[int | str, ...], said: str) -> None:
    with pytest.raises(TaskMismatchError, match=said):
        numbers(model, *labels)


@pytest.mark.parametrize(
    ("model", "labels", "strings", "said"),
    [
        (PLAIN, (1, 0, 1), False, "label 0 = class 'negative', label 1 = class 'positive'"),
        (PLAIN, ("positive",), False, "label 'positive' = class 1; 1 of 2 classes without an example"),
        (STALE, (0, 1), False, "label 0 = class 0, label 1 = class 1"),
        (SWAPPED, (1, 0), True, "label '1' = class 0, label '0' = class 1, as names"),
    ],
)
def test_what_is_said(model: Any, labels: tuple[int | str, ...], strings: bool, said: str) -> None:
    examples = Examples(texts=("a",) * len(labels), labels=labels, strings=strings)
    assert meaning_of(model, examples).said == said


# --- from files -------------------------------------------------------------------------------


def test_files_say_whether_a_label_is_a_string(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a b", "c d"], "label": ["1", "2"]})
    for ending, strings in ((".jsonl", True), (".parquet", True), (".tsv", False), (".csv", False)):
        path = tmp_path / f"d{ending}"
        if ending == ".jsonl":
            frame.to_json(path, orient="records", lines=True)
        elif ending == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
        found = read_examples(path)
        assert (found.labels, found.strings) == ((1, 2), strings)
    frame.assign(label=[1.0, 2.0]).to_parquet(tmp_path / "n.parquet")
    assert not read_examples(tmp_path / "n.parquet").strings
    frame.assign(label=[True, False]).to_parquet(tmp_path / "n.parquet")
    assert numbers(PLAIN, *read_examples(tmp_path / "n.parquet").labels) == [1, 0]
