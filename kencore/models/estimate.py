"""What pruning with ``ken`` will cost, told from shapes alone: an estimate, not a promise."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kencore.checkpoint.parameter import Parameter
from kencore.system.devices import usable_threads

# One thread, per weight and per doubling of the row length: the rule costs about 1.2 times a sort
# of its rows, and all matrices of BERT-base (109 million weights, rows of 768 mostly) take 6 s.
SECONDS_PER_WEIGHT_AND_LEVEL = 6.0 / 109.5e6 / math.log2(768)
# Python with torch, transformers and numba loaded
BYTES_AT_REST = 500 * 2**20
# tuned and base as float32 (8), sort keys and order (16), levels, masks and copies (16)
BYTES_PER_WEIGHT_IN_WORK = 40
WEIGHTS_IN_WORK = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds and peak bytes of memory, and in words what they rest on."""

    seconds: float
    memory_bytes: int
    threads: int
    how: str


def estimate(parameters: Iterable[Parameter], *, threads: int | None = None) -> Estimate:
    """Cost of pruning every prunable parameter with ``ken`` on the CPU.

    Args:
        threads: CPU threads; `kencore.system.devices.usable_threads` if left out.
    """
    threads = threads or usable_threads()
    shapes = [(p.rows, p.cols) for p in parameters if p.prunable]
    work = sum(rows * cols * math.log2(max(cols, 2)) for rows, cols in shapes)
    largest = max((rows * cols for rows, cols in shapes), default=0)
    longest = max((cols for _, cols in shapes), default=0)
    in_work = min(largest, max(WEIGHTS_IN_WORK, longest))
    return Estimate(
        seconds=work * SECONDS_PER_WEIGHT_AND_LEVEL / threads,
        memory_bytes=BYTES_AT_REST + in_work * BYTES_PER_WEIGHT_IN_WORK + largest // 8,
        threads=threads,
        how=(
            "An estimate from the shapes: about 1.2 sorts of every row on "
            f"{threads} CPU thread{'s' if threads > 1 else ''}, one piece of a matrix in memory "
            "at a time; measuring quality is not included."
        ),
    )
