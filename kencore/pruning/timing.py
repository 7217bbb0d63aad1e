"""How long prunings will take, from the paces that a probe measured: pure sums.

A pace is seconds for one weight, or for one token, on this machine and this model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kencore.allocate.table import Allocation
from kencore.methods.table import Method

PASSES_PER_CANDIDATE = 2.0
PASSES_TO_PRUNE = 3.0
"""Of all tokens through all blocks: in the dense model, and in the pruned one before and after a block is pruned."""
SPREAD = 1.6
"""A range runs from an estimate divided by this to one multiplied by it: machines are never equally busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What there is to do, in weights and tokens.

    Args:
        alone: weights that a method which looks at them alone would prune.
        inside: weights that a method on text would.
        tokens: of calibration text; searched: those that an allocation is searched on.
        models: how often the data are run through a model to measure quality: 0 where nothing is measured.
    """

    alone: int
    inside: int = 0
    tokens: int = 0
    searched: int = 0
    models: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Paces:
    """What a probe measured.

    Args:
        rules: seconds a weight, by method.
        write: seconds a weight, until it is read, for its hash, its row of the tables and its bit of the mask.
        open: seconds until the libraries and the checkpoints are there.
        load: seconds until a model is loaded and its text is read.
        token: seconds of one token through all blocks, without statistics.
        statistics: what gathering adds to that, by method.
        spectrum: seconds a weight, for the spectrum of its matrix.
        head: seconds of a token through what comes after the blocks.
        once: seconds of one model on all the data that quality is measured on.
        fixed: seconds of measuring whatever the data are.
    """

    rules: Mapping[str, float]
    write: float
    open: float = 0.0
    load: float = 0.0
    token: float = 0.0
    statistics: Mapping[str, float] | None = None
    spectrum: float = 0.0
    head: float = 0.0
    once: float = 0.0
    fixed: float = 0.0


def alone(paces: Paces, work: Work, method: Method) -> float:
    """Seconds of a pruning by weights alone, measuring included."""
    return paces.open + work.alone * (paces.rules[method.name] + paces.write) + measuring(paces, work)


def on_text(paces: Paces, work: Work, method: Method, allocation: Allocation) -> float:
    """Seconds of a pruning of a language model on text, measuring included."""
    looked = paces.token + (paces.statistics or {}).get(method.name, 0.0)
    passes = (PASSES_TO_PRUNE - 1) * paces.token + looked  # only one gathers what the method needs
    pruning = work.tokens * passes + work.inside * (paces.rules[method.name] + paces.write)
    return paces.open + paces.load + searching(paces, work, method, allocation) + pruning + measuring(paces, work)


def searching(paces: Paces, work: Work, method: Method, allocation: Allocation) -> float:
    """Seconds until sparsity is shared out."""
    if allocation.measures == "spectra":
        return work.inside * paces.spectrum
    if allocation.measures == "scores":
        return work.tokens * paces.token
    looked = paces.token + (paces.statistics or {}).get(method.name, 0.0)
    candidate = work.searched * ((PASSES_PER_CANDIDATE - 1) * paces.token + looked)
    candidate += work.inside * paces.rules[method.name]
    candidate += work.searched * paces.head * (allocation.measures == "loss")
    return allocation.candidates * candidate


def measuring(paces: Paces, work: Work) -> float:
    """Seconds of measuring quality: nothing where nothing is measured."""
    return work.models * paces.once + paces.fixed * (work.models > 0)


def spread(seconds: float) -> tuple[float, float]:
    """The range of an estimate."""
    return seconds / SPREAD, seconds * SPREAD


def ranges(
    paces: Paces, work: Work, methods: Iterable[Method], allocations: Iterable[Allocation]
) -> list[dict[str, Any]]:
    """One line for each method, and for each allocation where there is text: ``method``, ``allocation``,
    ``seconds``, ``low``, ``high``.
    """
    lines: list[dict[str, Any]] = []
    shared = list(allocations) if work.tokens else []
    for method in methods:
        if method.name not in paces.rules:
            continue
        plain = not method.activations
        told = [("uniform", alone(paces, work, method))] if plain else []
        told += [
            (one.name, on_text(paces, work, method, one)) for one in shared if one.measures != "nothing" or not plain
        ]
        for name, seconds in told:
            low, high = spread(seconds)
            lines.append({"method": method.name, "allocation": name, "seconds": seconds, "low": low, "high": high})
    return lines
