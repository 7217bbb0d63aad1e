"""Calibration windows: drawn anew they are the same, and every token is the text's own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kencore.data.calibration import Calibration, calibration_windows
from kencore.errors import TextError, TextTooShortError, WindowError


class Letters:
    """A tokenizer that gives each letter its number."""

    def __call__(self, text: str, *, verbose: bool) -> dict[str, list[int]]:
        return {"input_ids": list(map(ord, text))}


class Opened(Letters):
    """The same, with a token before every text."""

    def __call__(self, text: str, *, verbose: bool) -> dict[str, list[int]]:
        return {"input_ids": [7, *map(ord, text)]}


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text of 60 letters, no two alike."""
    path = tmp_path_factory.mktemp("text") / "letters.txt"
    path.write_text("".join(map(chr, range(200, 260))), "utf-8")
    return path


@given(st.integers(1, 80), st.integers(2, 60), st.integers(0, 2**63 - 1))
def test_every_window_is_a_piece_of_the_text(letters: Path, sequences: int, window: int, seed: int) -> None:
    found = calibration_windows(Letters(), letters, sequences=sequences, window=window, seed=seed)
    assert found.ids.dtype == torch.int64
    assert tuple(found.ids.shape) == (sequences, window)
    assert len(found.offsets) == sequences
    for offset, row in zip(found.offsets, found.ids, strict=True):
        assert row.tolist() == list(range(200 + offset, 200 + offset + window))
        assert 0 <= offset <= 60 - window
    # as many different starts as there can be, each used about as often
    starts = 60 - window + 1
    uses = [found.offsets.count(start) for start in range(starts)]
    assert max(uses) - min(uses) <= 1
    again = calibration_windows(Letters(), letters, sequences=sequences, window=window, seed=seed)
    assert torch.equal(again.ids, found.ids)
    assert again.offsets == found.offsets


def test_what_is_written_down(letters: Path) -> None:
    found = calibration_windows(Letters(), letters, sequences=4, window=8, seed=3)
    assert isinstance(found, Calibration)
    assert (found.source, found.seed, found.window, found.sequences) == (str(letters), 3, 8, 4)
    assert found.sha256 == hashlib.sha256(letters.read_bytes()).hexdigest()


def test_other_seeds_other_windows(letters: Path) -> None:
    draws = {calibration_windows(Letters(), letters, sequences=8, window=8, seed=seed).offsets for seed in range(20)}
    assert len(draws) == 20


def test_starts_are_spread_over_the_text() -> None:
    found = calibration_windows(Letters(), "pydoc", sequences=2000, window=64, seed=0)
    assert len(set(found.offsets)) == 2000
    length = max(found.offsets) + 64
    tenths = [10 * offset // length for offset in found.offsets]
    assert all(120 < tenths.count(tenth) < 280 for tenth in range(10))


def test_held_out_topics_are_not_drawn() -> None:
    from kencore.data.text import read_text

    found = calibration_windows(Letters(), "pydoc", sequences=1, window=2, seed=0)
    assert found.sha256 == read_text("pydoc", part="calibration").sha256
    assert found.sha256 != read_text("pydoc", part="evaluation").sha256


def test_what_cannot_be_drawn(letters: Path) -> None:
    with pytest.raises(TextTooShortError, match="60 tokens; wanted 61 or more"):
        calibration_windows(Letters(), letters, sequences=1, window=61, seed=0)
    with pytest.raises(WindowError, match="33 tokens; wanted 2 to 32"):
        calibration_windows(Letters(), letters, sequences=1, window=33, seed=0, positions=32)
    with pytest.raises(WindowError, match="1 tokens; wanted 2"):
        calibration_windows(Letters(), letters, sequences=1, window=1, seed=0)
    with pytest.raises(WindowError, match="sequences: 0"):
        calibration_windows(Letters(), letters, sequences=0, window=8, seed=0)
    with pytest.raises(TextError, match="no such file"):
        calibration_windows(Letters(), "none.txt", sequences=1, window=8, seed=0)


def test_the_whole_text_as_one_window(letters: Path) -> None:
    found = calibration_windows(Letters(), letters, sequences=3, window=60, seed=0)
    assert found.offsets == (0, 0, 0)


@given(st.integers(1, 80), st.integers(2, 61), st.integers(0, 2**63 - 1))
def test_every_window_begins_as_a_text_does(letters: Path, sequences: int, window: int, seed: int) -> None:
    found = calibration_windows(Opened(), letters, sequences=sequences, window=window, seed=seed, bos=True)
    assert tuple(found.ids.shape) == (sequences, window)
    for offset, row in zip(found.offsets, found.ids, strict=True):
        assert row.tolist() == [7, *range(200 + offset, 200 + offset + window - 1)]


def test_a_tokenizer_that_puts_nothing_before_a_text(letters: Path) -> None:
    with pytest.raises(WindowError, match="bos: a tokenizer that puts no token before a text"):
        calibration_windows(Letters(), letters, sequences=2, window=8, seed=0, bos=True)
