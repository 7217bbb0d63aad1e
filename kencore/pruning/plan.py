"""What will happen to every parameter of a model: how much of it is kept, or why it is left alone.

Shapes: R rows (outputs), C columns (inputs), N entries of all pruned matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.errors import ScopeError
from kencore.runs.lines import Decision
from kencore.settings.prune import PruneSpec

if TYPE_CHECKING:
    from kencore.allocate.balance import Place
    from kencore.allocate.slot import Slot
    from kencore.checkpoint.pair import Pair
    from kencore.checkpoint.parameter import Parameter

Kept = dict[str, NDArray[np.int64]]
LOST = "set to zero it would be lost: name it in the scope to prune it"
NOT_A_BLOCK_MATRIX = "not a matrix inside a block, so no activations measure it"


def decide(pair: Pair, spec: PruneSpec) -> list[Decision]:
    """What happens to every parameter of the tuned checkpoint, in its order.

    Without a base, and where activations decide, vectors, embeddings and the head are left alone
    unless a term of the scope names them; where activations decide, all but matrices inside
    blocks are.

    Raises:
        ScopeError: a term of the scope matches nothing, or nothing is left to prune.
    """
    from kencore.checkpoint.scope import choose, named_fragile

    parameters = pair.layout.parameters
    reached = choose(parameters, spec.scope, embeddings=spec.embeddings, vectors=spec.vectors, head=spec.head)
    meant = named_fragile(parameters, spec.scope)
    plan = []
    for parameter in parameters:
        status, reason = _status(pair, spec, parameter, reached[parameter.name], meant)
        same = status == "pruned" and not spec.exact and not spec.balance
        k = spec.row_budget(parameter.cols) if same else None
        base_name = pair.base_names.get(parameter.name)
        plan.append(Decision(parameter=parameter, base_name=base_name, status=status, reason=reason, k=k))
    if not any(decision.status == "pruned" for decision in plan):
        raise ScopeError(
            " + ".join(spec.scope),
            got="nothing left to prune",
            wanted="at least one matrix" + (" inside a block" if spec.streams else ""),
            remedy="Widen the scope; `python -m kencore inspect` lists what there is.",
        )
    return plan


def _status(
    pair: Pair, spec: PruneSpec, parameter: Parameter, reached: tuple[bool, str], meant: set[str]
) -> tuple[str, str]:
    from kencore.checkpoint.pair import NO_BASE
    from kencore.checkpoint.scope import is_fragile

    inside, why = reached
    if not parameter.prunable:
        return "unprunable", parameter.reason
    if spec.restore == "base" and pair.base_names.get(parameter.name) is None:
        return "unprunable", NO_BASE
    if not inside:
        return "untouched", why
    if spec.streams and (parameter.block is None or len(parameter.shape) != 2):
        return "untouched", NOT_A_BLOCK_MATRIX
    if spec.restore == "zero" and is_fragile(parameter) and parameter.name not in meant:
        return "untouched", LOST
    return "pruned", ""


def chosen(plan: Sequence[Decision]) -> dict[str, Decision]:
    """The decisions to prune, by name, in order."""
    return {d.parameter.name: d for d in plan if d.status == "pruned"}


def slots(plan: Sequence[Decision]) -> list[Slot]:
    """What is pruned, as an allocation sees it; what lies outside the blocks is put into the
    first one."""
    from kencore.allocate.slot import Slot

    return [
        Slot(
            name=name, block=d.parameter.block or 0, role=d.parameter.role, rows=d.parameter.rows, cols=d.parameter.cols
        )
        for name, d in chosen(plan).items()
    ]


def places(plan: Sequence[Decision]) -> dict[str, Place]:
    """Where each pruned parameter is, by name: what factors can be about."""
    from kencore.allocate.balance import Place

    return {name: Place(d.parameter.role, d.parameter.block, d.parameter.stack) for name, d in chosen(plan).items()}


def kept_per_row(plan: Sequence[Decision], spec: PruneSpec) -> Kept:
    """Entries that each row keeps, (R,) by name, of a job without activations.

    Raises:
        SpecError: a factor whose name nothing pruned has.
    """
    shared = slots(plan)
    return with_balance(shared, places(plan), spec, even_budgets(shared, spec))


def even_budgets(slots: Sequence[Slot], spec: PruneSpec) -> Kept:
    """Entries that each row keeps, (R,) by name, before balance and allocation.

    With a base, or with ``k``, each row has its own budget; otherwise floor(sparsity * N + 0.5)
    entries are pruned in all, spread evenly.
    """
    if not spec.exact:
        return {s.name: np.full(s.rows, spec.row_budget(s.cols), np.int64) for s in slots}
    from kencore.allocate.budget import uniform_counts

    assert spec.sparsity is not None
    counts = uniform_counts(slots, spec.sparsity)
    return {slot.name: slot.cols - counts[slot.name] for slot in slots}


def with_balance(slots: Sequence[Slot], places: Mapping[str, Place], spec: PruneSpec, kept: Kept) -> Kept:
    """Entries that each row keeps, (R,) by name, after ``spec.balance``.

    Raises:
        SpecError: a factor whose name nothing pruned has.
    """
    if not spec.balance:
        return kept
    from kencore.allocate.balance import balanced_counts, factors, parse_balance

    return balanced_counts(slots, kept, factors(parse_balance(spec.balance), places))
