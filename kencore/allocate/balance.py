"""A balance: some roles and blocks keep more than others, the total is held.

Every matrix has a share that it would keep without a balance and a factor, the product of the
factors of its role and its block. Its new share is c * factor * share, at most 1, with the one c at which the
whole keeps as many entries as before: what one role or block gains, all others give in proportion.

Shapes: R rows, C columns of a slot, N shares in all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kencore.errors import SpecError

Floats = NDArray[np.float64]
SMALLEST, LARGEST = 1 / 64, 64.0
_FACTOR = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*")


class Place(NamedTuple):
    """Where a matrix is: what a factor can be about."""

    role: str
    block: int | None
    stack: str = ""

    def names(self, *, several_stacks: bool = False) -> tuple[str, ...]:
        """Names that its factors have: its role, and ``b3`` or, of several stacks, ``encoder.b3`` for block 3."""
        if self.block is None:
            return (self.role,)
        block = f"b{self.block}"
        return self.role, f"{self.stack}.{block}" if several_stacks and self.stack else block


def parse_balance(balance: Iterable[str]) -> dict[str, float]:
    """``("q=1.5", "b3=0.5")`` as factors by name.

    Raises:
        SpecError: not of that form, a factor outside 1/64 ... 64, a name twice.
    """
    found: dict[str, float] = {}
    for text in balance:
        match = _FACTOR.fullmatch(text) if isinstance(text, str) else None
        factor = _number(match[2]) if match else None
        if match is None or factor is None or match[1] in found:
            raise SpecError(
                "balance",
                got=f"{text!r}" + (" a second time" if match and factor else ""),
                wanted="a role or a block and a factor from 1/64 to 64, such as q=1.5 or b3=0.5",
                remedy="q=1.5 keeps one and a half times the share; every name once.",
            )
        found[match[1]] = factor
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if SMALLEST <= value <= LARGEST else None


def factors(balance: Mapping[str, float], places: Mapping[str, Place]) -> dict[str, float]:
    """The factor of each matrix, by its name.

    Raises:
        SpecError: a factor whose name no matrix has.
    """
    several = len({place.stack for place in places.values() if place.block is not None}) > 1
    named = {name: place.names(several_stacks=several) for name, place in places.items()}
    known = dict.fromkeys(factor for own in named.values() for factor in own)
    unknown = [factor for factor in balance if factor not in known]
    if unknown:
        raise SpecError(
            "balance",
            got=f"{', '.join(unknown)}, which match nothing that is pruned",
            wanted=f"some of {', '.join(known)}",
            remedy="Choose among these.",
        )
    return {name: float(np.prod([balance.get(factor, 1.0) for factor in own])) for name, own in named.items()}


def balanced(shares: Floats, weights: Floats, factor: Floats, total: float) -> tuple[Floats, float]:
    """Shares kept after the balance, and c.

    Args:
        shares: (N,) shares kept without a balance.
        weights: (N,) entries that each share stands for.
        factor: (N,), above 0.
        total: entries to keep in all; what nothing with a share above 0 can hold is left over.

    Returns:
        min(1, c * factor * shares), (N,), and the c that meets the total.
    """
    x = np.asarray(shares, np.float64) * factor
    order = np.argsort(-x, kind="stable")
    high, entries = x[order], np.asarray(weights, np.float64)[order]
    full = np.concatenate([[0.0], np.cumsum(entries)])  # of the first n, kept whole
    rest = np.concatenate([np.cumsum((high * entries)[::-1])[::-1], [0.0]])  # of the others
    with np.errstate(divide="ignore", invalid="ignore"):
        c = np.where(rest > 0, (total - full) / rest, np.inf)
    # the first n at which no other share would pass 1 too
    after = np.append(high, 0.0)
    fits = np.nonzero((after * np.where(np.isfinite(c), c, 0.0) <= 1 + 1e-12) & (c >= 0))[0]
    chosen = float(c[fits[0]]) if len(fits) else float("inf")
    return (np.minimum(1.0, chosen * x) if np.isfinite(chosen) else (x > 0).astype(float)), chosen
