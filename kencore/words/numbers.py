"""How the project says numbers, roles and methods: one form of each, everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from kencore.allocate.table import ALLOCATIONS, UNIFORM, allocation_label
from kencore.methods.table import method_label

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

STEPS: Final = {"block": "Blocks", "row": "Rows", "both": "Blocks, then rows"}
REFERENCES: Final = {"local": "The dense block on the pruned stream (as published)", "global": "The whole dense model"}
REFINEMENTS: Final = {"none": "None", "dsnot": "DSnoT, swap weights of the mask afterwards"}
RESCALES: Final = {
    "none": "None, kept values are the tuned ones",
    "share": "By the share of the row that is kept (DARE)",
    "energy": "By the share of the row's squared change that is kept",
}
RESCALED: Final = {"share": "rescaling", "energy": "energy rescaling"}
PROPAGATIONS: Final = {
    "pruned": "What the pruned blocks before give (as published)",
    "dense": "What the dense blocks before give",
}
TEXTS: Final = {"pydoc": "Python's help texts (pydoc)", "wikitext2": "WikiText-2", "c4": "C4", "ptb": "Penn Treebank"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a run calls its weights before pruning, and the entries that it did not keep.

    Attributes:
        dense: the model before pruning: ``tuned`` beside a base, ``dense`` without.
        kept: a kept entry, in a legend.
        gone, gone_value, gone_long: an entry that was not kept: in a word, in a legend, in a line.
        change_kept: what `summaries` calls ``diff_share_kept``: without a base the difference is
            the weight itself.
        change_lost: the same of ``diff_lost``.
        change_size: the same of ``diff_rms``.
        done, does: what became of the entries of the mask, and what a block does with them: a coded change is
            rounded, not kept.
    """

    dense: str
    kept: str
    gone: str
    gone_value: str
    gone_long: str
    change_kept: str
    change_lost: str
    change_size: str
    done: str = "kept"
    does: str = "keeps"


TERMS: Final = {
    "base": Terms(
        dense="tuned",
        kept="kept (tuned value)",
        gone="reset",
        gone_value="reset (base value)",
        gone_long="reset to base",
        change_kept="change kept",
        change_lost="change lost",
        change_size="size of the change",
    ),
    "zero": Terms(
        dense="dense",
        kept="kept",
        gone="zero",
        gone_value="set to zero",
        gone_long="set to zero",
        change_kept="squared weights kept",
        change_lost="squared weights lost",
        change_size="size of the weights",
    ),
}
CODED: Final = replace(
    TERMS["base"],
    kept="changed (coded change)",
    gone="base",
    gone_value="base value",
    gone_long="at the base value",
    done="changed",
    does="changes",
)
LAYERS: Final = {
    "kept": "Kept",
    "neighbours": "Neighbors",
    "difference": "Difference",
    "tuned": "Tuned",
    "base": "Base",
}
PAIRED: Final = ("base", "difference")  # layers that only runs beside a base have
ROLES: Final = {
    "q": "q",
    "k": "k",
    "v": "v",
    "qkv": "qkv",
    "o": "o",
    "up": "up",
    "gate": "gate",
    "gate_up": "gate + up",
    "down": "down",
    "router": "router",
    "embedding": "embedding",
    "norm": "norm",
    "bias": "bias",
    "pooler": "pooler",
    "head": "head",
    "other": "other",
}
ROLES_EXPLAINED: Final = {
    "q": "attention query",
    "k": "attention key",
    "v": "attention value",
    "qkv": "attention query, key and value in one",
    "o": "attention output",
    "up": "feed-forward, first",
    "gate": "feed-forward gate",
    "gate_up": "feed-forward gate and first in one",
    "down": "feed-forward, second",
    "router": "router, which expert sees a token",
    "embedding": "embeddings",
    "norm": "layer norms",
    "bias": "biases",
    "pooler": "pooler",
    "head": "task head",
    "other": "other weights",
}
ROLE_NOUNS: Final = {**ROLES_EXPLAINED, "up": "first feed-forward", "down": "second feed-forward"}  # before "matrix"
ROLE_WORDS: Final = {  # each in a word, beside its letter
    "q": "query",
    "k": "key",
    "v": "value",
    "qkv": "query, key, value",
    "o": "output",
    "up": "widens",
    "gate": "lets through",
    "gate_up": "gate and up",
    "down": "narrows",
    "router": "experts",
    "norm": "scales",
    "bias": "shifts",
    "other": "the rest",
}
ROLES_DO: Final = {  # what a matrix of that role is for, as the end of "it ..."
    "q": "asks, for each word, what to look for in the others",
    "k": "says what each word has to offer to the others",
    "v": "holds what a word passes on to those that look at it",
    "qkv": "asks what each word looks for, says what it offers and holds what it passes on",
    "o": "puts together what attention has gathered",
    "up": "spreads what is known of each word over many features",
    "gate": "decides which of a word's features pass",
    "gate_up": "spreads what is known of each word over many features and decides which of them pass",
    "down": "draws the features of each word together again",
    "router": "decides which expert sees a word",
    "embedding": "holds the numbers that stand for each word",
    "pooler": "sums up the sentence",
    "head": "turns numbers into an answer",
}
STATUSES: Final = {"pruned": "pruned", "untouched": "left as it was", "unprunable": "cannot be pruned"}

_SPACE: Final = "\u00a0"  # does not break: a number stays with its unit
_STEPS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage; "n/a" where there is none."""
    return "n/a" if not math.isfinite(share) else f"{100 * share:.{digits}f}{_SPACE}%"


def percent_range(low: float, high: float) -> tuple[str, str]:
    """Two shares as percentages that can be told apart."""
    digits = range_digits(low, high)
    return percent(low, digits), percent(high, digits)


def range_digits(low: float, high: float) -> int:
    """Decimals of percentages from ``low`` to ``high``: none where ten points lie between, two at most."""
    apart = 100 * abs(high - low)
    return 0 if apart >= 10 or apart == 0 else 1 if apart >= 1 else 2


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


def terms(restore: str, *, coded: bool = False) -> Terms:
    """What a run calls its weights; ``coded``: it stores changes in a code."""
    return CODED if coded else TERMS[restore]


def layers(restore: str, *, coded: bool = False) -> dict[str, str]:
    """The layers of a run by what they are called; without a base there is no difference, and only coded
    differences have levels.
    """
    if restore == "base":
        return LAYERS | ({"kept": "Changed", "levels": "Levels"} if coded else {})
    return {name: text for name, text in LAYERS.items() if name not in PAIRED} | {"tuned": "Dense"}


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def budget(spec: PruneSpec) -> str:
    """How much a spec keeps, in words."""
    if spec.bytes is not None:
        return f"at most {size(spec.bytes)}"
    if spec.bits is not None:
        return f"{spec.bits:g} bits per weight"
    if spec.kl is not None:
        return f"answers within {spec.kl:g} nats"
    if spec.same is not None:
        return f"{100 * spec.same:.4g}\u00a0% same answers or more"
    if spec.keep is None:
        return f"k = {spec.k} per row"
    if not spec.exact:
        return f"{short_percent(spec.keep)} of each row"
    return f"{short_percent(1 - spec.keep)} sparsity"


def method(spec: PruneSpec) -> str:
    """The rule with what decides how much of each block: ``Wanda + NeuroAL (rows)``."""
    text = method_label(spec.method)
    if spec.allocation != UNIFORM:
        text += f" + {allocation(spec)}"
    text += " + DSnoT" if spec.refine == "dsnot" else ""
    return text + (f" + {RESCALED[spec.rescale]}" if spec.rescale != "none" else "")


BESIDE: Final = {"dare": "Random, rescaled (DARE)", "bitdelta": "BitDelta"}
"""What is only measured beside a run, by its name among the baselines."""


def baseline(name: str) -> str:
    """What was measured beside a run, by its name among the baselines."""
    return BESIDE.get(name) or method_label(name)


def allocation(spec: PruneSpec) -> str:
    """How sparsity is shared, in words: ``OWL``, ``NeuroAL (blocks, then rows)``."""
    text, row = allocation_label(spec.allocation), ALLOCATIONS.get(spec.allocation)
    if row is None or "step" not in row.options:
        return text
    return f"{text} ({STEPS[spec.step].lower()})"


def text_source(source: str) -> str:
    """A text by its name, or the file that was named."""
    return TEXTS.get(source, source)


def block_label(block: int, stack: str, several: bool) -> str:
    """Name of a block: its number, with the stack where a model has two."""
    return f"{stack} {block}" if several and stack else f"block {block}"
