"""How long a forward pass takes and how much memory it needs, measured on this device."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kencore.models.narrow import spent_on_widening
from kencore.models.seam import running

REPEATS = 10
WARM_UP = 2
LEAST = 2  # a turn
SECONDS = 0.6  # of one state at one batch: a slow model is run less often
Run = Callable[[], float | None]
"""One pass; it may return seconds in it that are not the model's own."""
SLOW = 0.1  # seconds of a pass after which one is enough to warm up


def interleaved(run: Run, turns: Mapping[str, Callable[[], None]], *, repeats: int = REPEATS) -> dict[str, list[float]]:
    """Seconds of each pass of several states of one model, in turns there and back.

    States A and B take turns A B B A, so that a machine that slows down steadily slows both
    alike. Each turn starts with passes that are not counted.

    Args:
        run: one pass, ended when it returns.
        turns: what brings the model into each state.
        repeats: counted passes of each state; fewer where they take too long.
    """
    found: dict[str, list[float]] = {name: [] for name in turns}
    there = list(turns)
    for name in (*there, *reversed(there)):
        turns[name]()
        found[name] += passes(run, -(-repeats // 2), SECONDS / 2)
    return found


def passes(run: Run, repeats: int = REPEATS, seconds: float = SECONDS) -> list[float]:
    """Seconds of each pass, after one or two that are not counted; at least 2 of them."""
    for _ in range(WARM_UP):
        if timed(run) > SLOW:
            break
    taken: list[float] = []
    while len(taken) < LEAST or (len(taken) < repeats and sum(taken) < seconds):
        taken.append(timed(run))
    return taken


def longest(timed: Callable[[int], float], most: int, seconds: float, *, first: int) -> tuple[int, float]:
    """The largest size whose pass takes about so many seconds at most, and what it took.

    Sizes double from ``first`` up to ``most``; the next one is expected to take twice as long.

    Args:
        timed: seconds of a pass of a size.
    """
    size = min(first, most)
    while True:
        taken = timed(size)
        if 2 * taken > seconds:  # the first pass of its kind is slower than those after it
            taken = min(taken, timed(size))
        if size == most or 2 * taken > seconds:
            return size, taken
        size = min(2 * size, most)


def timed(run: Run) -> float:
    """Seconds of one pass."""
    started = time.perf_counter()
    spared = run() or 0.0
    return time.perf_counter() - started - spared


def quartiles(seconds: list[float]) -> dict[str, Any]:
    """Median and quartiles of some timings, in seconds, and how many there were."""
    low, median, high = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
    return {"median": median, "low": low, "high": high, "repeats": len(seconds)}


def forward(model: Any, inputs: Mapping[str, Any], device: str) -> Run:
    """One forward pass that is over when it returns."""
    import torch

    def run() -> float:
        before = spent_on_widening(model)
        with torch.inference_mode(), running(model):
            model(**inputs)
        _wait(device)
        return spent_on_widening(model) - before

    return run


def peak_memory(run: Run, device: str) -> int | None:
    """Bytes that tensors take at most during a pass, weights included; ``None`` but on CUDA."""
    if not device.startswith("cuda"):
        return None
    import torch

    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return int(torch.cuda.max_memory_allocated(device))


def _wait(device: str) -> None:
    """Until everything that was started on the device is done."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()
