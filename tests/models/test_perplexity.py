"""Perplexity against transformers' own loss, and against a bigram model counted by hand."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kencore.errors import NonFiniteActivationError, TextTooShortError, WindowError
from kencore.models.perplexity import perplexity, window_nll, windows
from tests.support.tiny_models import LANGUAGE_MODELS, POSITIONS, VOCABULARY, build


def random_ids(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed))


class Table:
    """A model whose logits are a table (V, V): what follows a token depends on it alone."""

    def __init__(self, logits: Any, dtype: torch.dtype = torch.float32) -> None:
        self.table = torch.as_tensor(logits, dtype=dtype)
        self.batches: list[int] = []
        config = SimpleNamespace(vocab_size=len(self.table))
        config.get_text_config = lambda decoder: config
        self.config = config

    def __call__(self, *, input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        assert use_cache is False
        self.batches.append(len(input_ids))
        return SimpleNamespace(logits=self.table[input_ids])


# --- windows ----------------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(2, 20), st.none() | st.integers(1, 9))
def test_windows_are_the_text_but_for_its_tail(count: int, window: int, limit: int | None) -> None:
    ids = torch.arange(count)
    if count < window:
        with pytest.raises(TextTooShortError, match=f"{count} tokens; wanted {window} or more"):
            windows(ids, window, limit=limit)
        return
    found = windows(ids, window, limit=limit)
    wanted = min(count // window, limit or count)
    assert tuple(found.shape) == (wanted, window)
    assert found.flatten().tolist() == list(range(wanted * window))


def test_windows_that_cannot_be() -> None:
    ids = torch.arange(50)
    with pytest.raises(WindowError, match="1 tokens; wanted 2 tokens or more"):
        windows(ids, 1)
    with pytest.raises(WindowError, match="25 tokens; wanted 2 to 24 tokens"):
        windows(ids, 25, positions=24)
    with pytest.raises(WindowError, match="0; wanted 1 or more"):
        windows(ids, 8, limit=0)
    with pytest.raises(TextTooShortError, match="Text wikitext2"):
        windows(ids, 51, name="wikitext2")


# --- against others ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LANGUAGE_MODELS)
def test_the_loss_of_transformers_itself(kind: str) -> None:
    model = build(kind)
    ids = windows(random_ids(4 * POSITIONS + 5), POSITIONS)
    with torch.no_grad():
        losses = [float(model(input_ids=row[None], labels=row[None]).loss) for row in ids]
    for batch in (None, 1, 3):
        found = perplexity(model, ids, batch=batch)
        assert found["nll"] == pytest.approx(np.mean(losses), rel=1e-5)
        assert found["perplexity"] == pytest.approx(math.exp(np.mean(losses)), rel=1e-5)
        assert (found["windows"], found["window"], found["tokens"]) == (4, POSITIONS, 4 * 23)
        assert found["seconds"] >= 0


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_widened_first(kind: str, dtype: torch.dtype) -> None:
    model = build(kind, dtype=dtype)
    ids = windows(random_ids(60), 20)
    with torch.no_grad():
        logits = model(input_ids=ids).logits.double()
    logs = torch.log_softmax(logits, dim=-1)[:, :-1].gather(2, ids[:, 1:, None])
    assert perplexity(model, ids, batch=3)["nll"] == pytest.approx(-float(logs.mean()), rel=1e-6)


def test_a_bigram_counted_by_hand() -> None:
    # after 0 comes 0 or 1 (3 to 1), after 1 anything alike, after 2 always 0
    model = Table([[math.log(3), 0, -1e4], [5, 5, 5], [1e4, 0, 0]])
    ids = torch.tensor([[0, 0, 1, 2], [2, 0, 1, 1]])
    likelihood = (3 / 4) * (1 / 4) * (1 / 3) * 1 * (1 / 4) * (1 / 3)
    found = perplexity(model, ids)
    assert found["tokens"] == 6
    assert found["nll"] == pytest.approx(-math.log(likelihood) / 6, rel=1e-6)
    assert found["perplexity"] == pytest.approx(likelihood ** (-1 / 6), rel=1e-6)


def test_every_token_alike_is_the_vocabulary() -> None:
    found = perplexity(Table(np.full((50, 50), -7.0)), windows(torch.arange(50), 10))
    assert found["perplexity"] == pytest.approx(50, rel=1e-6)


# --- intervals --------------------------------------------------------------------------------


def test_the_interval_is_students_of_the_windows() -> None:
    # every token of the three windows is one of 16, 24 and 36 that are as likely
    model = Table(np.full((64, 64), -1e4))
    for token, likely in ((0, 16), (1, 24), (2, 36)):
        model.table[token, :likely] = 0.0
    found = perplexity(model, torch.tensor([[0, 0, 0], [1, 1, 1], [2, 2, 2]]))
    assert found["perplexity"] == pytest.approx(24)
    half = 4.302652729911275 * math.log(1.5) / math.sqrt(3)  # t of 2 degrees, 97.5 %
    assert found["perplexity_low"] == pytest.approx(24 * math.exp(-half))
    assert found["perplexity_high"] == pytest.approx(24 * math.exp(half))
    assert found.outcomes == pytest.approx(np.log([16, 24, 36]))


def test_one_window_has_no_interval() -> None:
    found = perplexity(Table(np.zeros((4, 4))), torch.tensor([[0, 1, 2]]))
    assert not {"perplexity_low", "perplexity_high"} & set(found)


def test_an_interval_stays_within_what_can_be() -> None:
    certain = Table([[0, 1e4], [1e4, 0]])
    found = perplexity(certain, torch.tensor([[0, 1, 0], [0, 0, 0]]))
    assert found["perplexity_low"] == 1
    assert found["perplexity_high"] == sys.float_info.max


# --- extremes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100.0, 1e4, 1e30])
def test_extreme_logits_do_not_overflow(size: float) -> None:
    certain = Table([[0, size], [size, 0]])
    assert perplexity(certain, torch.tensor([[0, 1, 0, 1]]))["perplexity"] == 1
    found = perplexity(certain, torch.tensor([[0, 0, 0, 0]]))
    assert found["nll"] == pytest.approx(size)
    assert math.isfinite(found["perplexity"])
    assert found["perplexity"] == pytest.approx(math.exp(min(size, math.log(sys.float_info.max))))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_logits_that_are_not_numbers(wrong: float) -> None:
    model = Table([[0, 0], [0, wrong]])
    assert perplexity(model, torch.tensor([[0, 0, 1]]))["perplexity"] == pytest.approx(2)
    with pytest.raises(NonFiniteActivationError, match="window 2 of 2"):
        perplexity(model, torch.tensor([[0, 0, 0], [0, 1, 1]]), batch=1)


def test_a_token_that_cannot_be() -> None:
    with pytest.raises(NonFiniteActivationError):
        perplexity(Table([[0, -math.inf], [0, 0]]), torch.tensor([[0, 1]]))


@pytest.mark.parametrize("kind", ["llama", "opt"])
def test_weights_that_are_not_numbers(kind: str) -> None:
    model = build(kind)
    next(p for n, p in model.named_parameters() if "q_proj.weight" in n).data[0, 0] = math.nan
    with pytest.raises(NonFiniteActivationError, match="window 1 of 2"):
        perplexity(model, windows(random_ids(40), 20))


# --- batches and progress ---------------------------------------------------------------------


def test_progress_counts_windows() -> None:
    said: list[tuple[float, float, str]] = []
    model = Table(np.zeros((9, 9)))
    perplexity(model, torch.zeros((7, 4), dtype=torch.int64), batch=3, progress=lambda *step: said.append(step))
    assert said == [(n, 7, f"{n} of 7 windows") for n in (3, 6, 7)]
    assert model.batches == [3, 3, 1]


def test_what_progress_raises_ends_the_work() -> None:
    def stop(done: float, total: float, message: str) -> None:
        raise KeyboardInterrupt

    model = Table(np.zeros((9, 9)))
    with pytest.raises(KeyboardInterrupt):
        perplexity(model, torch.zeros((7, 4), dtype=torch.int64), batch=2, progress=stop)
    assert model.batches == [2]


def test_a_large_vocabulary_is_taken_one_window_at_a_time() -> None:
    model = Table(np.zeros((9, 9)))
    model.config.vocab_size = 1 << 20
    ids = torch.zeros((2, 128), dtype=torch.int64)
    perplexity(model, ids)
    assert model.batches == [1, 1]


def test_nothing_is_changed_and_each_window_stands_alone() -> None:
    model = build("llama")
    ids = windows(random_ids(5 * 12), 12)
    before, kept = ids.clone(), {n: p.clone() for n, p in model.named_parameters()}
    whole = window_nll(model, ids)
    assert whole.dtype == torch.float64
    alone = torch.cat([window_nll(model, row[None]) for row in ids])
    torch.testing.assert_close(whole, alone, rtol=1e-6, atol=0)
    assert torch.equal(ids, before)
    assert all(torch.equal(p, kept[n]) for n, p in model.named_parameters())
