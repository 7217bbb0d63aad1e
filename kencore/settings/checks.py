"""The words that settings are made of, and what is refused before any model is loaded.

Each check raises `SpecError` with a message of its own; none changes what it is given.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

from kencore.errors import SpecError

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

Method = Literal["ken", "ken-density", "delta", "magnitude", "random", "wanda", "multiflow", "sparsegpt"]
Allocation = Literal["uniform", "owl", "alpha", "dlp", "atp", "neuroal"]
METHODS: tuple[str, ...] = get_args(Method)
ALLOCATIONS: tuple[str, ...] = get_args(Allocation)
STEPS = ("block", "row", "both")
REFERENCES = ("local", "global")
REFINEMENTS = ("none", "dsnot")
PROPAGATIONS = ("pruned", "dense")
RESCALES = ("none", "share", "energy")
SCOPES = ("all", "blocks", "attention", "feed-forward")

NEEDS_BASE = frozenset({"ken", "ken-density", "delta"})  # rules that are about a base
NEEDS_ACTIVATIONS = frozenset({"wanda", "multiflow", "sparsegpt"})
SLICE_METHODS = tuple(name for name in METHODS if name not in NEEDS_ACTIVATIONS)
PUBLISHED_METHODS = ("magnitude", "wanda", "multiflow", "sparsegpt")
PUBLISHED_ALLOCATIONS = ("uniform", "owl", "alpha", "neuroal")

CHOICES: dict[str, tuple[str, ...]] = {
    "method": METHODS,
    "allocation": ALLOCATIONS,
    "step": STEPS,
    "reference": REFERENCES,
    "refine": REFINEMENTS,
    "propagate": PROPAGATIONS,
    "rescale": RESCALES,
}
SWITCHES = ("embeddings", "vectors", "head", "baselines", "fast", "published")
# least value, whether it may be left out, what it counts
COUNTS: dict[str, tuple[int, bool, str]] = {
    "sequences": (1, False, "sequences of calibration text, 1 or more"),
    "search_sequences": (1, False, "sequences that an allocation is searched on, 1 or more"),
    "window": (2, True, "tokens of a window, 2 or more: one to read and one to predict"),
    "windows": (1, True, "windows of evaluation text, 1 or more"),
}
WANTED = {
    "model": "the model to prune: demo, demo-lm, a folder or a hub id",
    "base": "the base it was tuned from: a folder or a hub id",
    "evaluation": "demo or a .tsv, .jsonl or .parquet file for a classifier; pydoc, wikitext2, c4, "
    "ptb or a text file for a language model",
    "calibration": "pydoc, wikitext2, c4, ptb or a text file",
}


def check_text(name: str, value: object, *, optional: bool) -> None:
    """Refuse anything but words, and nothing at all where something is needed."""
    if (value is None and optional) or (isinstance(value, str) and value.strip()):
        return
    raise SpecError(
        name,
        got="nothing" if value is None or not str(value).strip() else repr(value),
        wanted=WANTED.get(name, "text"),
        remedy="Fill it in." + (" Or leave it out." if optional else ""),
    )


def check_choice(name: str, value: object) -> None:
    """Refuse a word that is not one of `CHOICES`."""
    if not isinstance(value, str) or value not in CHOICES[name]:
        raise SpecError(
            name, got=repr(value), wanted=f"one of {', '.join(CHOICES[name])}", remedy="Choose one of these."
        )


def check_switch(name: str, value: object) -> None:
    """Refuse anything but a bool."""
    if not isinstance(value, bool):
        raise SpecError(name, got=repr(value), wanted="True or False", remedy="Pass a bool.")


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number, or fewer than makes sense."""
    least, optional, what = COUNTS[name]
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SpecError(
            name,
            got=repr(value),
            wanted=what,
            remedy="Pass such a number" + (", or leave it out." if optional else "."),
        )


def check_seed(seed: object) -> None:
    """Refuse what cannot seed a random stream."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise SpecError(
            "seed", got=repr(seed), wanted="a whole number from 0 to 2**63 - 1", remedy="Pass such a number."
        )


def checked_scope(scope: Any) -> tuple[str, ...]:
    """The terms of a scope, one given alone included."""
    given: Any = (scope,) if isinstance(scope, str) else scope
    terms = tuple(given) if isinstance(given, (list, tuple)) else ()
    if not terms or not all(isinstance(term, str) and term.strip() for term in terms):
        raise SpecError(
            "scope",
            got=repr(scope) if scope else "nothing",
            wanted=f"one or more of {', '.join(SCOPES)}, roles or name patterns",
            remedy="Choose all for everything.",
        )
    return tuple(term.strip() for term in terms)


def checked_balance(balance: Any) -> tuple[str, ...]:
    """The faders of a balance, one given alone included, in one form and order."""
    from kencore.allocate.balance import parse_faders

    given: Any = (balance,) if isinstance(balance, str) else balance
    if not isinstance(given, (list, tuple)):
        given = (given,)
    found = {name: factor for name, factor in parse_faders(given).items() if factor != 1}
    return tuple(f"{name}={found[name]:.6g}" for name in sorted(found))


def check_lambda(name: str, value: object) -> None:
    """Refuse what is no slope or spread between 0 and a half."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or (number and 0 <= value <= 0.5):  # type: ignore[operator]
        return
    raise SpecError(name, got=repr(value), wanted="a lambda from 0 to 0.5", remedy="Leave it out to have it searched.")


def check_base(spec: PruneSpec) -> None:
    """Refuse a method without the base it needs, or with one that it cannot use."""
    if spec.base is None and spec.method in NEEDS_BASE:
        raise SpecError(
            "base",
            got=f"no base model, which {spec.method} needs",
            wanted="the pretrained model that the tuned one started from",
            remedy="Name it (a folder or a hub id): what is not kept goes back to it. Without one, "
            "magnitude, wanda, multiflow and sparsegpt set what is not kept to zero.",
        )
    if spec.base is not None and spec.method == "sparsegpt":
        raise SpecError(
            "base",
            got=f"{spec.base} beside sparsegpt",
            wanted="no base: sparsegpt changes the values that it keeps so as to make up for entries that became zero",
            remedy="Leave the base out, or choose wanda: it can go back to one.",
        )


def check_budget(spec: PruneSpec) -> None:
    """Refuse no budget, two of them, and shares that cannot be."""
    if (spec.keep is None) == (spec.k is None):
        raise SpecError(
            "keep and k",
            got="both" if spec.k is not None else "neither",
            wanted="exactly one of them",
            remedy="Give a share of each row (keep) or a number of entries of each row (k).",
        )
    if spec.k is not None:
        _check_k(spec)
    else:
        _check_keep(spec)


def _check_k(spec: PruneSpec) -> None:
    if isinstance(spec.k, bool) or not isinstance(spec.k, int) or spec.k < 1:
        raise SpecError(
            "k",
            got=repr(spec.k),
            wanted="a whole number of entries per row, 1 or more",
            remedy="Rows shorter than k are kept whole.",
        )
    if spec.streams:
        raise SpecError(
            "k",
            got=f"{spec.k} entries per row, with {asked_for(spec)}",
            wanted="a share: it is spread over blocks and rows so that the whole meets it",
            remedy="Give keep instead; keep 0.3 is sparsity 0.7.",
        )


def _check_keep(spec: PruneSpec) -> None:
    keep: Any = spec.keep
    whole = not spec.streams
    if isinstance(keep, bool) or not isinstance(keep, (int, float)) or not math.isfinite(keep):
        got = f"{keep!r}, which is no share"
    elif keep > 1:
        got = f"keep {keep:g}, that is sparsity {complement(keep):g}: more than everything kept"
    elif keep < 0:
        got = f"keep {keep:g}, that is sparsity {complement(keep):g}: more than everything pruned"
    elif keep == 0:
        got = "keep 0, that is sparsity 1: nothing would be left"
    elif keep == 1 and not whole:
        got = "keep 1, that is sparsity 0: nothing would be pruned"
    else:
        return
    raise SpecError(
        "keep",
        got=got,
        wanted=f"a share above 0 and {'up to' if whole else 'below'} 1 (sparsity is 1 - keep)",
        remedy="To keep half and prune half, keep is 0.5 and sparsity is 0.5.",
    )


def check_together(spec: PruneSpec) -> None:
    """Refuse settings that contradict each other."""
    if spec.refine == "dsnot" and spec.base is not None:
        raise _clash(
            "refine",
            "dsnot beside a base",
            "no base: dsnot weighs what a pruned entry leaves behind if it becomes zero",
            "Leave the base out, or refine with none.",
        )
    if spec.rescale != "none" and spec.base is None:
        raise _clash(
            "rescale",
            f"{spec.rescale} without a base",
            "a base: kept differences to it are rescaled, and without one there is no difference",
            "Name the base, or leave rescale out.",
        )
    if spec.step != "block" and spec.method == "sparsegpt":
        raise _clash(
            "step",
            f"{spec.step} with sparsegpt",
            "block: sparsegpt chooses entries over whole matrices, not row by row",
            "Choose step block, or another method.",
        )
    for name, step in (("block_lambda", "row"), ("row_lambda", "block")):
        if getattr(spec, name) is None:
            continue
        if spec.allocation != "neuroal" or spec.step == step:
            raise _clash(
                name,
                f"{getattr(spec, name):g} beside allocation {spec.allocation}"
                + (f", step {spec.step}" if spec.allocation == "neuroal" else ""),
                f"allocation neuroal with a step that has a {name}",
                "Leave it out, or choose step both.",
            )
    if spec.published:
        _check_published(spec)


def _check_published(spec: PruneSpec) -> None:
    """What NeuroAL's published code cannot do cannot be reproduced."""
    reasons = {
        "method": (
            spec.method not in PUBLISHED_METHODS,
            spec.method,
            f"one of {', '.join(PUBLISHED_METHODS)}: the published code has no other",
        ),
        "base": (spec.base is not None, str(spec.base), "no base: the published code sets what it prunes to zero"),
        "allocation": (
            spec.allocation not in PUBLISHED_ALLOCATIONS,
            spec.allocation,
            f"one of {', '.join(PUBLISHED_ALLOCATIONS)}: the published code has no other",
        ),
        "reference": (
            spec.reference != "local",
            spec.reference,
            "local: the published code compares within one stream",
        ),
        "propagate": (
            spec.propagate != "pruned",
            spec.propagate,
            "pruned: the published code feeds each block what the pruned ones before it give",
        ),
        "balance": (bool(spec.balance), " ".join(spec.balance), "no faders: the published code has none"),
        "block_lambda": (spec.block_lambda is not None, str(spec.block_lambda), "none: the published code searches it"),
        "row_lambda": (spec.row_lambda is not None, str(spec.row_lambda), "none: the published code searches it"),
        "fast": (spec.fast, "True", "False: the published code tries every lambda"),
    }
    for name, (wrong, got, wanted) in reasons.items():
        if wrong:
            raise _clash(name, f"{got} beside published", wanted, "Change it, or drop published.")


def complement(share: float) -> float:
    """1 - share, to the last bit of its decimal form: 1 - 0.9 is not 0.1 in floats."""
    return float(1 - Decimal(repr(float(share))))


def asked_for(spec: PruneSpec) -> str:
    """What makes a job run the model on calibration text, in words."""
    if spec.method in NEEDS_ACTIVATIONS:
        return spec.method
    if spec.allocation != "uniform":
        return f"allocation {spec.allocation}"
    return f"refine {spec.refine}" if spec.refine != "none" else "published"


def _clash(name: str, got: str, wanted: str, remedy: str) -> SpecError:
    return SpecError(name, got=got, wanted=wanted, remedy=remedy)
