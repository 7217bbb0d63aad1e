"""KL of predictions from held logits, against plain loops."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kencore.models import held
from kencore.models.held import Comparison, HeldLogits
from kencore.models.language import LanguageModel, Windows
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer

SHAPE = (5, 7, 11)  # windows, tokens, vocabulary


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))


def drawn(seed: int, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    return 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plain(before: torch.Tensor, after: torch.Tensor) -> tuple[float, float]:
    """Mean KL and share of same tokens over all predictions: token by token, entry by entry."""
    kl, same, count = 0.0, 0, 0
    for one, other in zip(before.double(), after.double(), strict=True):
        for p, q in zip(one[:-1].log_softmax(-1), other[:-1].log_softmax(-1), strict=True):
            kl += sum(math.exp(a) * (a - b) for a, b in zip(p.tolist(), q.tolist(), strict=True) if a > -math.inf)
            same += int(p.argmax() == q.argmax())
            count += 1
    return kl / count, same / count


def compare(before: torch.Tensor, after: torch.Tensor, **settings: int) -> dict[str, float]:
    kept = HeldLogits(tuple(before.shape), **settings)  # type: ignore[arg-type]
    for place, logits in enumerate(before):
        kept.keep(place, logits)
    found = Comparison(kept)
    for place, logits in enumerate(after):
        found.add(place, logits)
    return found.found().said()


@pytest.mark.parametrize("at_once", [1, 25, 1 << 22])
def test_the_mean_is_that_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(held, "AT_ONCE", at_once)
    before, after = drawn(1), drawn(1) + 0.1 * drawn(2)
    kl, same = plain(before, after)
    assert compare(before, after) == {"kl": pytest.approx(kl, rel=1e-12), "same_answer": same}
    assert 0 < same < 1


def test_a_model_is_as_near_to_itself_as_can_be_and_little_changes_are_told() -> None:
    before = drawn(1)
    assert compare(before, before) == {"kl": 0.0, "same_answer": 1.0}
    after = before.double().add(1e-4 * drawn(2).double()).float()
    kl, _ = plain(before, after)
    assert kl < 1e-7
    assert compare(before, after)["kl"] == pytest.approx(kl, rel=1e-6)


def test_tokens_that_cannot_be_count_nothing_and_those_that_no_longer_can_have_no_mean() -> None:
    before, after = drawn(1), drawn(2)
    before[..., 3] = -torch.inf
    kl, same = plain(before, after)
    assert compare(before, after) == {"kl": pytest.approx(kl), "same_answer": same}
    assert compare(after, before)["kl"] is None


def test_where_not_all_fit_the_first_are_compared_and_how_many_is_said() -> None:
    before, after = drawn(1), drawn(2)
    window = 4 * 7 * 11
    kl, same = plain(before[:2], after[:2])
    found = {"kl": pytest.approx(kl), "same_answer": same, "kl_windows": 2}
    assert compare(before, after, most=3 * window - 1) == found
    assert compare(before, after, most=3 * window, batch=2) == found
    assert compare(before, after, most=window - 1) == {}
    assert "kl_windows" not in compare(before, after, most=5 * window, batch=2)


def test_without_a_place_to_write_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(held.tempfile, "TemporaryFile", refuse)
    assert compare(drawn(1), drawn(2)) == {}


def test_a_disk_that_is_full_ends_what_is_held() -> None:
    kept = HeldLogits(SHAPE)
    before = drawn(1)
    kept.keep(0, before[0])
    kept._file.close()
    kept._file = SimpleNamespace(seek=lambda place: None, write=_full)
    kept.keep(1, before[1])
    kept.keep(2, before[2])
    assert kept.count == 1


def _full(_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_model_is_compared_while_it_is_measured(tmp_path: Path) -> None:
    base, tuned = save_pair("llama", tmp_path, change=0.3)
    add_tokenizer(base)
    add_tokenizer(tuned)
    models = [LanguageModel.load(folder, threads=1) for folder in (tuned, base)]
    ids = torch.randint(3, 60, (6, 12), generator=torch.Generator().manual_seed(0))
    text = Windows(ids=ids, source="", sha256="")
    dense = models[0].quality(text, hold=True, batch=4)
    other = models[1].quality(text, against=dense.held)
    with torch.no_grad():
        kl, same = plain(*(model.model(ids).logits for model in models))
    assert other.near is not None
    assert other.near.to is dense.held
    assert other.near.said() == {"kl": pytest.approx(kl, rel=1e-5), "same_answer": same}
    assert other == {**models[1].quality(text), "seconds": other["seconds"]}
    assert np.isfinite(kl)
