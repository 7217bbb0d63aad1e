"""How the app says numbers, roles and methods: one form of each, on every page."""

from __future__ import annotations

import math
from typing import Final

METHODS: Final = {
    "ken": "KEN",
    "ken-density": "KEN, densest values",
    "delta": "Largest difference",
    "magnitude": "Largest magnitude",
    "random": "Random",
}
METHODS_EXPLAINED: Final = {
    "ken": (
        "As published: each row's values are thinned to an evenly spaced grid over its range. "
        "All tails stay, the crowded middle is thinned; the difference to the base plays no part."
    ),
    "ken-density": (
        "As the paper's words describe it: the values of highest density under the row's own "
        "curve. That keeps the middle and resets the tails, the opposite of the published code."
    ),
    "delta": (
        "Keeps what fine-tuning moved most, |tuned - base|. A baseline, and often the strongest "
        "one, because it alone looks at the difference."
    ),
    "magnitude": "Keeps the largest |tuned| of each row. The classic baseline.",
    "random": "Keeps a random choice of each row. What any rule has to beat.",
}
ROLES: Final = {
    "q": "q", "k": "k", "v": "v", "qkv": "qkv", "o": "o", "up": "up", "gate": "gate",
    "gate_up": "gate + up", "down": "down", "embedding": "embedding", "norm": "norm",
    "bias": "bias", "pooler": "pooler", "head": "head", "other": "other",
}  # fmt: skip
ROLES_EXPLAINED: Final = {
    "q": "attention query", "k": "attention key", "v": "attention value",
    "qkv": "attention query, key and value in one", "o": "attention output",
    "up": "feed-forward, first", "gate": "feed-forward gate",
    "gate_up": "feed-forward gate and first in one", "down": "feed-forward, second",
    "embedding": "embeddings", "norm": "layer norms", "bias": "biases",
    "pooler": "pooler", "head": "task head", "other": "other parameters",
}  # fmt: skip
STATUSES: Final = {
    "pruned": "pruned",
    "untouched": "left as tuned",
    "unprunable": "cannot be pruned",
}

_SPACE: Final = "\u00a0"  # does not break: a number stays with its unit
_STEPS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage; "n/a" where there is none."""
    return "n/a" if not math.isfinite(share) else f"{100 * share:.{digits}f}{_SPACE}%"


def short_percent(share: float) -> str:
    """A percentage with a decimal only where it has one: 50 %, 33.3 %."""
    text = percent(share)
    return text.replace(f".0{_SPACE}%", f"{_SPACE}%")


def count(number: float) -> str:
    """An amount in at most four characters and a unit: 812, 3.4 k, 1.4 M, 7.2 B."""
    for step, unit in _STEPS:
        if number >= step * 0.9995:
            scaled = number / step
            digits = 0 if scaled >= 99.95 or round(scaled, 1) == round(scaled) else 1
            return f"{scaled:.{digits}f}{_SPACE}{unit}"
    return f"{number:,.0f}"


def exact(number: float) -> str:
    """An amount in full, thousands apart."""
    return f"{int(number):,}"


def size(nbytes: float) -> str:
    """Bytes as kB, MB or GB (powers of ten)."""
    for step, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if nbytes >= step * 0.9995:
            return f"{nbytes / step:.3g}{_SPACE}{unit}"
    return f"{nbytes:.0f}{_SPACE}bytes"


def seconds(time: float) -> str:
    """A duration as a person says it: 0.8 s, 45 s, 3 min 20 s, 2 h 5 min."""
    if time < 10:
        return f"{time:.1f} s"
    whole = round(time)
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def budget(keep: float | None, k: int | None) -> str:
    """How much a spec keeps, in words."""
    return f"k = {k} per row" if keep is None else f"{short_percent(keep)} of each row"


def block_label(block: int, stack: str, several: bool) -> str:
    """Name of a block: its number, with the stack where a model has two."""
    return f"{stack} {block}" if several and stack else f"block {block}"
