"""Calibration windows: which tokens a model reads while its activations are measured.

Importing this module is light; torch is imported when windows are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.data.text import check_length, check_window, read_text, token_numbers, window_opening
from kencore.data.tokens import check_tokens
from kencore.errors import WindowError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

# N tokens of the text, S sequences, T tokens of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Windows of a text, and all that it takes to draw them again.

    Args:
        ids: (S, T) int64.
        source: the text, as the person wrote it.
        sha256: of the whole text.
        seed: of the draw.
        window: T.
        sequences: S.
        offsets: the token of the text at which each window starts.
    """

    ids: torch.Tensor
    source: str
    sha256: str
    seed: int
    window: int
    sequences: int
    offsets: tuple[int, ...]


def calibration_windows(
    tokenizer: Any,
    source: str | Path,
    *,
    sequences: int,
    window: int,
    seed: int,
    positions: int | None = None,
    rows: int | None = None,
    bos: bool = False,
) -> Calibration:
    """Draw windows from a text, at random.

    Starts are all different where the text has that many, and windows may overlap. Published code
    (SparseGPT, Wanda) draws starts one by one with Python's generator, so that two may be equal.

    Args:
        tokenizer: of transformers.
        source: see `read_text`; its calibration part is taken.
        sequences: how many windows, 1 or more.
        window: tokens of each.
        seed: of numpy's default generator; the same seed gives the same windows.
        positions: tokens that the model can read at once; ``None``: any number.
        rows: of the model's table of token embeddings; ``None``: it has none.
        bos: every window begins with what the tokenizer puts before a text, see `window_opening`.

    Raises:
        TokenizerError, TokenTableError: the tokenizer fails, or gives a token that has no row.
        TextTooShortError: less than one window of text.
        WindowError: a window of fewer than 2 tokens or more than ``positions``, no sequences, or ``bos`` where
            the tokenizer has no such token.
        TextError, NoNetworkError: see `read_text`.
    """
    import torch

    check_window(window, positions)
    if sequences < 1:
        raise WindowError(
            "sequences", got=f"{sequences:,}", wanted="1 or more", remedy="Papers take 128; a few are enough to try."
        )
    text = read_text(source, part="calibration")
    opening = window_opening(tokenizer, bos=bos)
    inside = window - len(opening)  # tokens of the text
    numbers = token_numbers(tokenizer, text.text)[len(opening) :]  # N
    check_length(len(numbers), inside, text.source)
    offsets = _starts(len(numbers) - inside + 1, sequences, seed)  # S
    ids = numbers[offsets[:, None] + np.arange(inside)]  # S, T less what opens them
    ids = np.insert(ids, [0] * len(opening), opening, axis=1)  # S, T
    check_tokens(tokenizer, ids, rows, text.source)
    return Calibration(
        ids=torch.from_numpy(ids),
        source=text.source,
        sha256=text.sha256,
        seed=seed,
        window=window,
        sequences=sequences,
        offsets=tuple(offsets.tolist()),
    )


def _starts(possible: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """(S,) starts below ``possible``; each is drawn once before any is drawn again."""
    generator = np.random.default_rng(seed)
    if wanted <= possible:
        return generator.choice(possible, size=wanted, replace=False)
    rounds = [generator.permutation(possible) for _ in range(-(-wanted // possible))]
    return np.concatenate(rounds)[:wanted]
