"""Settings of a pruning that contradict each other: what each method takes, and what goes with what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kencore.allocate.table import ALLOCATIONS, UNIFORM, with_option
from kencore.errors import SpecError
from kencore.methods.table import METHODS
from kencore.settings import checks

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

ORDERS: Final = {"gradients": "gradients", "both": "gradients and the rule together", "rule": "the rule"}
"""What says how much a code of ``bytes`` harms, in words."""
HARMS: Final = ("auto", *ORDERS)
"""How a method that codes differences orders codes."""
TAKE_GRADIENTS: Final = ("gradients", "both")
"""Those that ask for them."""
BUDGETS: Final = ("bits", "bytes", "kl", "same")
"""Of a method that codes differences."""


def check_together(spec: PruneSpec) -> None:
    """Refuse settings that contradict each other; each has been checked by itself.

    Raises:
        SpecError: naming the setting to change.
    """
    _check_base(spec)
    _check_budget(spec)
    _check_pairs(spec)
    if spec.published:
        _check_published(spec)


def _check_base(spec: PruneSpec) -> None:
    """Refuse a method without the base it needs, or with one that it cannot use."""
    row = METHODS[spec.method]
    if spec.base is None and row.needs_base:
        others = [name for name, other in METHODS.items() if not (other.needs_base or other.draws)]
        raise SpecError(
            "base",
            got=f"no base model, which {spec.method} needs",
            wanted="the pretrained model that the tuned one started from",
            remedy="Name it (a folder or a hub id): what is not kept goes back to it. Without one, "
            f"{', '.join(others[:-1])} and {others[-1]} set what is not kept to zero.",
        )
    if spec.base is not None and not row.takes_base:
        raise SpecError(
            "base",
            got=f"{spec.base} beside {spec.method}",
            wanted=f"no base: {spec.method} changes the values that it keeps so as to make up for weights "
            "that became zero",
            remedy="Leave the base out, or choose wanda: it can go back to one.",
        )


def _check_budget(spec: PruneSpec) -> None:
    """Refuse no budget, two of them, and one that does not go with the rest."""
    given = [name for name in BUDGETS if getattr(spec, name) is not None]
    if spec.coded:
        _check_coded(spec, given)
        return
    more = {"code": spec.code is not None, "harm": spec.harm != HARMS[0]}
    for name in (*given, *(name for name, said in more.items() if said)):
        raise _clash(name, f"one beside {spec.method}", f"method {_coded()}", "Leave it out, or choose that method.")
    if (spec.keep is None) == (spec.k is None):
        raise SpecError(
            "keep and k",
            got="both" if spec.k is not None else "neither",
            wanted="exactly one of them",
            remedy="Give a share of each row (keep) or a number of weights of each row (k).",
        )
    if spec.k is not None and spec.streams:
        raise SpecError(
            "k",
            got=f"{spec.k} weights per row, with {_asked_for(spec)}",
            wanted="a share: it is spread over blocks and rows so that the whole meets it",
            remedy="Give keep instead; keep 0.3 is sparsity 0.7.",
        )
    if spec.keep == 1 and spec.streams:
        raise checks.no_share("keep", "keep 1, that is sparsity 0: nothing would be pruned", "below")


def _coded() -> str:
    return " or ".join(name for name, row in METHODS.items() if row.coded)


def _check_coded(spec: PruneSpec, given: list[str]) -> None:
    """What goes with a method that codes differences."""
    if len(given) != 1:
        raise SpecError(
            "bits, bytes, kl and same",
            got=" and ".join(given) or "none of them",
            wanted=f"exactly one of them for {spec.method}",
            remedy="Say how large the file may be (bits per weight, or bytes), or how near its answers must come (kl, "
            "or same, a share of the answers).",
        )
    others = {
        "keep": spec.keep is not None,
        "k": spec.k is not None,
        "rescale": spec.rescale != "none",
        "balance": bool(spec.balance),
        "allocation": spec.allocation != UNIFORM,
        "refine": spec.refine != "none",
        "published": spec.published,
        "measured": spec.measured,
    }
    for name, wrong in others.items():
        if wrong:
            raise _clash(
                name,
                f"{getattr(spec, name)} beside {spec.method}",
                f"no {name}: bits, bytes, kl or same alone say how much is stored, and where",
                "Leave it out, or choose another method.",
            )
    if spec.harm in TAKE_GRADIENTS and spec.evaluation is None:
        raise _clash(
            "harm",
            f"{spec.harm} without evaluation data",
            "evaluation data: labeled sentences, or a text for a language model",
            "Name them with evaluation, or order codes by the rule.",
        )
    if given[0] in ("kl", "same") and spec.evaluation is None:
        raise _clash(
            given[0],
            f"a {'divergence' if given[0] == 'kl' else 'share of same answers'} without data to measure it on",
            "evaluation data: labeled sentences, or a text for a language model",
            "Name them with evaluation, or give bits or bytes.",
        )


def _check_pairs(spec: PruneSpec) -> None:
    """Refuse two settings that cannot both be."""
    if spec.refine == "dsnot" and spec.base is not None:
        raise _clash(
            "refine",
            "dsnot beside a base",
            "no base: dsnot weighs what a pruned weight leaves behind if it becomes zero",
            "Leave the base out, or refine with none.",
        )
    if spec.rescale != "none" and spec.base is None:
        raise _clash(
            "rescale",
            f"{spec.rescale} without a base",
            "a base: kept differences to it are rescaled, and without one there is no difference",
            "Name the base, or leave rescale out.",
        )
    if spec.step != "block" and METHODS[spec.method].update is not None:
        raise _clash(
            "step",
            f"{spec.step} with {spec.method}",
            f"block: {spec.method} chooses weights over whole matrices, not row by row",
            "Choose step block, or another method.",
        )
    for name, step in (("block_lambda", "row"), ("row_lambda", "block")):
        if getattr(spec, name) is None:
            continue
        read = name in ALLOCATIONS[spec.allocation].options
        if not read or spec.step == step:
            raise _clash(
                name,
                f"{getattr(spec, name):g} beside allocation {spec.allocation}"
                + (f", step {spec.step}" if read else ""),
                f"allocation {' or '.join(with_option(name))} with a step that has a {name}",
                "Leave it out, or choose step both.",
            )


def _check_published(spec: PruneSpec) -> None:
    """What NeuroAL's published code cannot do cannot be reproduced."""
    methods = [row.name for row in METHODS.values() if row.published]
    allocations = [row.name for row in ALLOCATIONS.values() if row.published]
    reasons = {
        "method": (
            spec.method not in methods,
            spec.method,
            f"one of {', '.join(methods)}: the published code has no other",
        ),
        "base": (spec.base is not None, str(spec.base), "no base: the published code sets what it prunes to zero"),
        "allocation": (
            spec.allocation not in allocations,
            spec.allocation,
            f"one of {', '.join(allocations)}: the published code has no other",
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
        "balance": (bool(spec.balance), " ".join(spec.balance), "no balance: the published code has none"),
        "block_lambda": (spec.block_lambda is not None, str(spec.block_lambda), "none: the published code searches it"),
        "row_lambda": (spec.row_lambda is not None, str(spec.row_lambda), "none: the published code searches it"),
        "fast": (spec.fast, "True", "False: the published code tries every lambda"),
    }
    for name, (wrong, got, wanted) in reasons.items():
        if wrong:
            raise _clash(name, f"{got} beside published", wanted, "Change it, or drop published.")


def _asked_for(spec: PruneSpec) -> str:
    """What makes a job run the model on calibration text, in words."""
    if METHODS[spec.method].activations:
        return spec.method
    if spec.allocation != UNIFORM:
        return f"allocation {spec.allocation}"
    return f"refine {spec.refine}" if spec.refine != "none" else "published"


def _clash(name: str, got: str, wanted: str, remedy: str) -> SpecError:
    return SpecError(name, got=got, wanted=wanted, remedy=remedy)
