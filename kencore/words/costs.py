"""What a run costs to keep and to use, in words: pure functions of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kencore.words import numbers as wording

CODED: Final = "Coded changes, names, hashes and configuration."
MASKED: Final = "Kept values and one bit per weight."
NOT_YET: Final = "not measured yet"
TOO_SLOW: Final = "not timed: it would take too long"
SAME_SPEED: Final = "Scattered zeros do not make dense kernels faster."
NOT_ZERO: Final = "Weights reset to the base are not zero, so no operation is saved."
TO_ZERO: Final = "Effective: multiplications with kept weights only. Dense kernels do not skip the others."
Lines = list[tuple[str, str]]
Cost = Mapping[str, Any]


def size(cost: Cost, kept: Mapping[str, int], subnetwork: int | None, done: str) -> Lines:
    """Parameters and bytes.

    Args:
        cost: of a run's metrics; may be empty.
        kept: a run's totals.
        subnetwork: bytes of its subnetwork file; ``None`` where they are known about only.
        done: what became of the weights of its mask: kept or changed.
    """
    dense = (cost.get("bytes") or {}).get("dense") or kept["bytes_dense"]
    file = kept["bytes_stored"] if subnetwork is None else subnetwork
    about = "about " if subnetwork is None else ""
    return [
        (f"{done.capitalize()} in pruned tensors", f"{wording.exact(kept['kept'])} of {wording.exact(kept['pruned'])}"),
        ("Dense weights", wording.size(dense)),
        ("Subnetwork file", f"{about}{wording.size(file)}, {wording.percent(file / dense, 0)}"),
    ]


def compute(cost: Cost) -> Lines:
    """Operations of one pass over one input."""
    flops = cost.get("flops")
    if not flops:
        return [("Operations of a pass", NOT_YET)]
    share = flops["effective"] / flops["dense"] if flops["dense"] else 1.0
    return [
        ("Input", wording.plural(int(flops["tokens"]), "token")),
        ("Dense", operations(flops["dense"])),
        ("Effective", f"{operations(flops['effective'])}, {wording.percent(share, 0)}"),
    ]


def speed(cost: Cost) -> Lines:
    """Time of a pass, dense and pruned, median and quartiles."""
    lines = []
    whole = (cost.get("flops") or {}).get("tokens")
    for timed in cost.get("latency") or []:
        batch = f"batch of {timed['batch']}"
        if timed.get("tokens", whole) != whole:
            batch += f", {wording.plural(int(timed['tokens']), 'token')}"
        lines += [
            (f"{name}, {batch}", _time(timed[side]))
            for name, side in (("Dense", "dense"), ("Pruned", "pruned"))
            if side in timed
        ]
    return lines or [("Time of a pass", TOO_SLOW if "latency" in cost else NOT_YET)]


def memory(cost: Cost) -> Lines:
    """The most that tensors took, dense and pruned."""
    found = cost.get("memory")
    if not found:
        return [("Peak memory", NOT_YET)]
    if "reason" in found:
        return [("Peak memory", "not measured")]
    return [(f"Peak memory, {side}", wording.size(found[side])) for side in ("dense", "pruned") if side in found]


def memory_notes(cost: Cost) -> str:
    """Why there is no memory, where there is none."""
    reason = str((cost.get("memory") or {}).get("reason", ""))
    return f"Memory: {reason.partition(': ')[2]}." if reason else ""


def operations(number: float) -> str:
    """Floating-point operations: 42.7 MFLOP."""
    for step, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= step * 0.9995:
            return f"{number / step:.3g}\u00a0{unit}FLOP"
    return f"{number:.0f}\u00a0FLOP"


def _time(found: Mapping[str, float]) -> str:
    """The median, and the quartiles after it, in milliseconds or seconds."""
    scale, unit = (1, "s") if found["median"] >= 1 else (1000, "ms")
    middle, low, high = (scale * found[name] for name in ("median", "low", "high"))
    return f"{_short(middle)}\u00a0{unit} ({_short(low)}–{_short(high)})"


def _short(value: float) -> str:
    """Three digits, and no powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
