"""How long the KEN rule takes beside ``torch.sort`` of the same tensor: the ratio of medians.

Both run in turn in one process, so that a busy machine slows both alike.

    python benchmarks/selection.py            # about a minute
    python benchmarks/selection.py --quick    # a few seconds
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kencore.methods.select import select

WIDTHS = (768, 3072, 4096, 11008)
THREADS = (1, 2)
GOAL = 1.3  # select over sort, one thread
STD = 0.04  # of the weights, as in BERT


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(columns: int, threads: int, entries: int, repeats: int) -> tuple[int, float, float]:
    """Rows measured, and the median seconds of ``torch.sort`` and of ``select``."""
    torch.set_num_threads(threads)
    rows = max(2 * threads, entries // columns)
    weight = STD * torch.randn(rows, columns, generator=torch.Generator().manual_seed(columns))
    calls = (lambda: torch.sort(weight), lambda: select(weight, columns // 2, rule="ken"))
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for which in (0, 1) if repeat % 2 else (1, 0):  # neither is always the first
            taken = seconds(calls[which])
            if repeat:  # the first round warms up
                times[which].append(taken)
    return rows, statistics.median(times[0]), statistics.median(times[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer entries and repetitions")
    quick = parser.parse_args().quick
    entries, repeats = (200_000, 7) if quick else (1_000_000, 25)
    select(torch.randn(2, 64), 32)  # compiles, once per machine
    print(f"select(rule='ken', k=C/2) over torch.sort, medians of {repeats}; goal {GOAL} on 1 thread")
    print(f"{'C':>6} {'rows':>6} {'threads':>8} {'sort ms':>9} {'select ms':>10} {'ratio':>7}")
    worst = 0.0
    for columns in WIDTHS:
        for threads in THREADS:
            rows, sort, own = compare(columns, threads, entries, repeats)
            ratio = own / sort
            worst = max(worst, ratio) if threads == 1 else worst
            print(
                f"{columns:>6} {rows:>6} {threads:>8} {sort * 1e3:>9.2f} {own * 1e3:>10.2f} {ratio:>7.2f}", flush=True
            )
    verdict = "met" if worst <= GOAL else "missed"
    print(f"worst ratio on one thread: {worst:.2f} (goal {GOAL}: {verdict})")


if __name__ == "__main__":
    main()
