"""A measurement by several processes: its numbers are those of one, bit for bit, and no pass is repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kencore import PruneSpec, Run, prune
from kencore.data.lines import read_lines
from kencore.models import language
from kencore.models.classifier import Classifier
from kencore.models.held import HeldLogits
from kencore.models.said import joined
from kencore.quality.judge import judge
from kencore.quality.part import judge_part
from kencore.quality.parts import Parts
from kencore.system.shard import Shard
from tests.models.test_batches import sentences
from tests.models.test_embedder import POOLS, encoder, with_modules
from tests.support.classifiers import WORDS, save_tokenizer
from tests.support.tiny_models import save_pair

TIMES = ("seconds", "device")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("KENVIZ_HOME", str(folder))
    return folder


@pytest.fixture
def text_run(tmp_path: Path) -> tuple[Run, Path]:
    """A language model that was pruned against its base, and a text."""
    base, tuned = save_pair("llama", tmp_path, change=0.3)
    for side in (base, tuned):
        save_tokenizer(side)
    words = torch.randint(len(WORDS), (300,), generator=torch.Generator().manual_seed(1))
    (tmp_path / "text.txt").write_text(" ".join(WORDS[i] for i in words), "utf-8")
    spec = PruneSpec(model=str(tuned), base=str(base), keep=0.4, method="ken", window=16)
    return prune(spec, out=tmp_path / "run"), tmp_path / "text.txt"


@pytest.fixture
def lines_run(tmp_path: Path) -> tuple[Run, Path]:
    """An encoder that was pruned, and sentences."""
    model = with_modules(encoder(tmp_path / "m"), POOLS["mean"][0], max_seq_length=32)
    (tmp_path / "lines.txt").write_text("\n".join(sentences(12)) + "\n")
    return prune(
        PruneSpec(model=str(model), method="magnitude", keep=0.6), out=tmp_path / "run"
    ), tmp_path / "lines.txt"


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two windows are read at once, so that there are batches to share out."""
    monkeypatch.setattr(language, "windows_at_once", lambda *_: 2)


def untimed(found: Any) -> Any:
    """The same without what a clock says."""
    if isinstance(found, dict):
        return {name: untimed(value) for name, value in found.items() if name not in TIMES}
    return found


def by_parts(subject: str, data: str, shared: Path, count: int, **more: Any) -> None:
    shared.mkdir()
    for i in range(count):
        judge_part(subject, data, Shard(index=i, count=count), shared, threads=1, **more)


def no_pass(*_: Any, **__: Any) -> None:
    raise AssertionError("a pass over the data")


@pytest.mark.parametrize("count", [2, 5])
def test_a_run_on_a_text(
    text_run: tuple[Run, Path], few_at_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    run, text = text_run
    asked = {"baselines": True, "cost": False}
    alone = judge(str(run.path), str(text), threads=1, **asked)
    assert {"kl", "same_answer", "nll_change"} <= alone["pruned"]["versus_dense"].keys()
    by_parts(str(run.path), str(text), tmp_path / "shared", count, baselines=True)
    monkeypatch.setattr(language.LanguageModel, "part", no_pass)
    whole = judge(str(run.path), str(text), threads=1, **asked, shared=tmp_path / "shared")
    assert untimed(whole) == untimed(alone)


def test_a_model_by_itself_and_its_cost(text_run: tuple[Run, Path], few_at_once: None, tmp_path: Path) -> None:
    run, text = text_run
    alone = judge(run.spec.model, str(text), window=16, threads=1, cost=False)
    by_parts(run.spec.model, str(text), tmp_path / "shared", 3, window=16)
    whole = judge(run.spec.model, str(text), window=16, threads=1, shared=tmp_path / "shared")
    assert whole.pop("cost")["flops"]
    assert untimed(whole) == untimed(alone)


def test_a_classifier_on_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"baselines": True, "cost": False}
    alone = judge("demo", "demo", threads=1, **asked)
    by_parts("demo", "demo", tmp_path / "shared", 3, baselines=True)
    monkeypatch.setattr(Classifier, "part", no_pass)
    whole = judge("demo", "demo", threads=1, **asked, shared=tmp_path / "shared")
    assert untimed(whole) == untimed(alone)


def test_an_encoder_on_sentences(lines_run: tuple[Run, Path], tmp_path: Path) -> None:
    run, lines = lines_run
    alone = judge(str(run.path), str(lines), threads=1, cost=False)
    by_parts(str(run.path), str(lines), tmp_path / "shared", 3)
    whole = judge(str(run.path), str(lines), threads=1, cost=False, shared=tmp_path / "shared")
    assert untimed(whole) == untimed(alone)
    assert whole["pruned"]["similarity"] < 1 == whole["dense"]["similarity"]


def test_what_is_missing_is_measured_and_what_is_there_is_not(
    text_run: tuple[Run, Path], few_at_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, text = text_run
    alone = judge(str(run.path), str(text), threads=1, cost=False)
    by_parts(str(run.path), str(text), tmp_path / "shared", 2)
    steps: list[int] = []
    passed = language.LanguageModel.part

    def counted(self: Any, windows: Any, *shard: Any, **more: Any) -> Any:
        steps.append(len(windows.ids))
        return passed(self, windows, *shard, **more)

    monkeypatch.setattr(language.LanguageModel, "part", counted)
    one = Shard(index=1, count=2)
    assert judge_part(str(run.path), str(text), one, tmp_path / "shared", threads=1) == 3
    assert steps == []
    files = sorted((tmp_path / "shared").glob("*1of2*"))
    assert len(files) == 3
    files[0].write_bytes(b"\0" * 40)  # damaged: everything is measured
    whole = judge(str(run.path), str(text), threads=1, cost=False, shared=tmp_path / "shared")
    assert len(steps) == 3
    assert untimed(whole) == untimed(alone)
    files[0].unlink()  # begun again: the dense model for its logits, and what is missing
    steps.clear()
    judge_part(str(run.path), str(text), one, tmp_path / "shared", threads=1)
    assert len(steps) in (1, 2)
    steps.clear()
    again = judge(str(run.path), str(text), threads=1, cost=False, shared=tmp_path / "shared")
    assert steps == []
    assert untimed(again) == untimed(alone)


def test_logits_that_find_no_room_are_compared_as_far_as_they_go(
    text_run: tuple[Run, Path], few_at_once: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, text = text_run
    made = HeldLogits.__init__

    def small(self: Any, shape: Any, *, batch: int = 1, most: int | None = None) -> None:
        made(self, shape, batch=batch, most=9 * shape[1] * shape[2] * 4 if most is None else most)

    monkeypatch.setattr(HeldLogits, "__init__", small)
    alone = judge(str(run.path), str(text), threads=1, cost=False)
    assert alone["pruned"]["versus_dense"]["kl_windows"] == 8
    by_parts(str(run.path), str(text), tmp_path / "shared", 3)
    whole = judge(str(run.path), str(text), threads=1, cost=False, shared=tmp_path / "shared")
    assert untimed(whole) == untimed(alone)


def test_other_data_are_another_measurement(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("one\nthree\n")
    said = {"places": np.arange(2), "embeddings": np.ones((2, 3)), "seconds": np.asarray(1.0)}
    first, second = (Parts(tmp_path, read_lines(str(tmp_path / name))) for name in ("a.txt", "b.txt"))
    first.write("dense", Shard(), said)
    assert first.said("dense") is not None
    assert second.said("dense") is None
    assert first.said("pruned") is None


def test_parts_are_joined_by_place() -> None:
    values = np.arange(5.0)
    parts = [{"places": np.array(own), "nll": values[own], "seconds": np.asarray(1.0)} for own in ([3, 0], [4, 1], [2])]
    whole = joined(parts, 5)
    assert whole is not None
    assert (whole["nll"] == values).all()
    assert float(whole["seconds"]) == 3.0
    assert joined(parts[:2], 5) is None
    assert joined([], 0) is None
    twice = joined([*parts, parts[0]], 5)
    assert twice is not None
    assert (twice["nll"] == values).all()
