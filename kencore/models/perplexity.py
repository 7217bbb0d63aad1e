"""Perplexity of a causal language model over windows of a text.

Perplexity depends on the window: figures of different windows are not to be compared.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.data.text import check_length, check_window
from kencore.errors import NonFiniteActivationError, WindowError
from kencore.models.figures import Figures, mean_interval
from kencore.models.seam import forward
from kencore.system.progress import Progress
from kencore.system.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch

    Watch = Callable[[int, torch.Tensor], None]

LOGITS_AT_ONCE = 1 << 26  # numbers of a batch, 256 MB of float32
# N tokens of a text, W windows, T tokens of a window, B windows of a batch, V vocabulary


def windows(
    ids: torch.Tensor,
    window: int,
    *,
    limit: int | None = None,
    positions: int | None = None,
    name: str = "the text",
    opening: Sequence[int] = (),
) -> torch.Tensor:
    """Cut a text into windows that do not overlap; the tail that fills none is dropped.

    Args:
        ids: (N,) int64.
        window: T.
        limit: take the first so many windows; ``None``: all of them.
        positions: tokens that the model can read at once; ``None``: any number.
        name: the text, for the error.
        opening: tokens that each window begins with, of its T; ``ids`` are without them.

    Returns:
        (W, T) int64.

    Raises:
        TextTooShortError: less than one window of text.
        WindowError: a window of fewer than 2 tokens or more than ``positions``, or a limit below 1.
    """
    import torch

    check_window(window, positions)
    inside = window - len(opening)  # tokens of the text
    check_length(len(ids), inside, name)
    if limit is not None and limit < 1:
        raise WindowError(
            "windows", got=f"{limit:,}", wanted="1 or more", remedy="Leave it out to measure on the whole text."
        )
    count = min(len(ids) // inside, limit or sys.maxsize)
    cut = ids[: count * inside].reshape(count, inside)
    return torch.cat([ids.new_tensor(opening).expand(count, -1), cut], dim=1) if opening else cut  # W, T


def perplexity(
    model: Any,
    ids: torch.Tensor,
    *,
    batch: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> Figures:
    """Perplexity: exp of the mean negative log-likelihood of every token but a window's first.

    Args:
        model: a causal model of transformers, on ``device`` and in evaluation mode.
        ids: (W, T) int64, T at least 2.
        batch: windows at once; ``None``: as many as keep the logits within 256 MB, at least one.
        device: where the model is.
        progress: called as (windows done, windows, message); what it raises ends the work.
        watch: called with the number of each window and its logits (T, V).

    Returns:
        ``perplexity`` (the largest float where it is larger), ``nll`` (mean, in nats), ``tokens``
        (predicted: W * (T - 1)), ``windows``, ``window``, ``guess`` (the vocabulary: perplexity of even odds),
        ``seconds``; with two windows or more
        also a 95 % interval, ``perplexity_low`` to ``perplexity_high``: exp of that of the mean
        over windows, see `kencore.models.figures.mean_interval`. Log-likelihoods are
        computed in float32 from log-softmax, so that no logit overflows, and summed in float64.
        Published code (SparseGPT, Wanda) weighs the same mean by T instead of T - 1: the same
        number.

    Raises:
        NonFiniteActivationError: a window's likelihood is NaN or infinite.
    """
    started = time.monotonic()
    _, sums = window_sums(model, ids, batch=batch, device=device, progress=progress, watch=watch)
    return figures_of(sums, ids.shape[1], vocabulary_of(model), time.monotonic() - started)


def window_sums(
    model: Any,
    ids: torch.Tensor,
    *,
    shard: Shard | None = None,
    batch: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Summed negative log-likelihood, in nats, of windows that are read batch by batch.

    Args:
        shard: of the batches; ``None``: all of them.
        others: as of `perplexity`.

    Returns:
        Numbers of the windows (w,), ascending, and the sum of each (w,).

    Raises as `perplexity`.
    """
    import torch

    count, window = ids.shape
    size = batch or windows_at_once(model, window)
    starts = (shard or Shard()).of(range(0, count, size))
    to_do = sum(min(size, count - start) for start in starts)
    sums: dict[int, float] = {}
    with torch.inference_mode():
        for start in starts:
            part = ids[start : start + size].to(device)  # B, T
            for i, nll in enumerate(window_nll(model, part, _counted(watch, start)).tolist()):
                _check_finite(nll, start + i, count)
                sums[start + i] = nll
            if progress is not None:
                progress(len(sums), to_do, f"{len(sums):,} of {to_do:,} windows")
    return np.array(list(sums), np.int64), np.array(list(sums.values()), np.float64)


def figures_of(sums: NDArray[np.float64], window: int, vocabulary: int, seconds: float) -> Figures:
    """What `perplexity` returns, of the sums (W,) of all windows of so many tokens."""
    count = len(sums)
    tokens = count * (window - 1)
    means = sums / (window - 1)  # W
    mean = math.fsum(sums) / tokens
    figures = {
        "perplexity": _exp(mean),
        "nll": mean,
        "tokens": tokens,
        "windows": count,
        "window": window,
        "guess": float(vocabulary),
        "seconds": round(seconds, 3),
    }
    interval = mean_interval(means)
    if interval is not None:
        low, high = interval
        figures |= {"perplexity_low": _exp(max(0.0, low)), "perplexity_high": _exp(high)}
    return Figures(figures, means)


def _counted(watch: Watch | None, first: int) -> Watch | None:
    """The same, of windows that are counted from the first of a batch."""
    return None if watch is None else lambda place, logits: watch(first + place, logits)


def windows_at_once(model: Any, window: int) -> int:
    """Windows whose logits stay within 256 MB, at least one."""
    return max(1, LOGITS_AT_ONCE // (window * vocabulary_of(model)))


def vocabulary_of(model: Any) -> int:
    """Tokens that a causal model of transformers chooses among."""
    return int(model.config.get_text_config(decoder=True).vocab_size)


def _exp(nll: float) -> float:
    """exp, the largest float where it is larger."""
    return math.exp(nll) if nll < math.log(sys.float_info.max) else sys.float_info.max


def window_nll(model: Any, ids: torch.Tensor, watch: Watch | None = None) -> torch.Tensor:
    """(B,) float64: summed negative log-likelihood, in nats, of each window's tokens 2 to T.

    Args:
        model: as for `perplexity`.
        ids: (B, T) int64 on the model's device.
        watch: called with the number of each window, from 0, and its logits (T, V).
    """
    import torch
    from torch.nn import functional

    logits = forward(model, input_ids=ids, use_cache=False).logits  # B, T, V
    sums = []
    for i, (row, wanted) in enumerate(zip(logits, ids, strict=True)):  # one by one: float32 logits are large
        losses = functional.cross_entropy(row[:-1].float(), wanted[1:], reduction="none")  # T - 1
        sums.append(losses.cpu().double().sum())  # not every device has float64
        if watch is not None:
            watch(i, row)
    return torch.stack(sums)


def _check_finite(nll: float, window: int, count: int) -> None:
    if not math.isfinite(nll):
        raise NonFiniteActivationError(
            f"window {window + 1} of {count}",
            got="NaN or infinite likelihood",
            wanted="finite logits for every token",
            remedy="Look for NaN or infinity in the weights; half precision may be too narrow.",
        )
