"""What will happen to every parameter of a model: how much of it is kept, or why it is left alone.

Shapes: R rows (outputs), C columns (inputs), N entries of all pruned matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kencore.allocate.budget import Counts, kept_evenly, rebalanced, row_budget, with_whole_rows
from kencore.errors import ScopeError
from kencore.runs.lines import Decision
from kencore.settings.prune import PruneSpec

if TYPE_CHECKING:
    from kencore.allocate.balance import Place
    from kencore.allocate.slot import Slot
    from kencore.checkpoint.pair import Pair
    from kencore.checkpoint.parameter import Parameter

LOST = "set to zero it would be lost: name it in the scope to prune it"
NOT_A_BLOCK_MATRIX = "not a matrix inside a block, so no activations measure it"
NOT_MULTIPLIED = "not a linear layer of its block: its inputs cannot be measured"
ROUTER = "it decides which experts see a token: name it in the scope to prune it"


def decide(pair: Pair, spec: PruneSpec) -> list[Decision]:
    """What happens to every parameter of the tuned checkpoint, in its order.

    Without a base, and where activations decide, vectors, embeddings and the head are left alone
    unless a term of the scope names them, and routers always are; where activations decide, or
    ``measured`` is asked for, all but matrices inside blocks are.

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
        same = status == "pruned" and not (spec.exact or spec.balance or spec.coded)
        k = row_budget(parameter.cols, keep=spec.keep, k=spec.k) if same else None
        base_name = pair.base_names.get(parameter.name)
        common = pair.common.get(parameter.name)
        plan.append(
            Decision(parameter=parameter, base_name=base_name, status=status, reason=reason, k=k, common=common)
        )
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
    if parameter.role == "router" and parameter.name not in meant:
        return "untouched", ROUTER
    if (spec.streams or spec.measured) and not parameter.measured:
        within = parameter.block is not None and len(parameter.shape) == 2
        return "untouched", NOT_MULTIPLIED if within else NOT_A_BLOCK_MATRIX
    if spec.restore == "zero" and is_fragile(parameter) and parameter.name not in meant:
        return "untouched", LOST
    return "pruned", ""


def chosen(plan: Sequence[Decision]) -> dict[str, Decision]:
    """The decisions to prune, by name, in order."""
    return {d.parameter.name: d for d in plan if d.status == "pruned"}


def slots(plan: Sequence[Decision]) -> list[Slot]:
    """What is pruned, as an allocation sees it; what lies outside the blocks is put into the
    first one. Of a table only the rows that the base has too: the others are kept.
    """
    from kencore.allocate.slot import Slot

    return [
        Slot(name=name, block=d.parameter.block or 0, role=d.parameter.role, rows=compared(d), cols=d.parameter.cols)
        for name, d in chosen(plan).items()
    ]


def compared(decision: Decision) -> int:
    """Rows of a parameter that can go back to something."""
    return decision.parameter.rows if decision.common is None else decision.common


def places(plan: Sequence[Decision]) -> dict[str, Place]:
    """Where each pruned parameter is, by name: what factors can be about."""
    from kencore.allocate.balance import Place

    return {name: Place(d.parameter.role, d.parameter.block, d.parameter.stack) for name, d in chosen(plan).items()}


def kept_per_row(plan: Sequence[Decision], spec: PruneSpec) -> Counts:
    """Entries that each row keeps, (R,) by name, of a job without activations.

    Raises:
        SpecError: a factor whose name nothing pruned has.
    """
    shared = slots(plan)
    kept = kept_evenly(shared, keep=spec.keep, k=spec.k, sparsity=spec.sparsity if spec.exact else None)
    rows = {name: d.parameter.rows for name, d in chosen(plan).items()}
    return with_whole_rows(shared, rebalanced(shared, kept, spec.balance, places(plan)), rows)


def seconds_to_judge(plan: Sequence[Decision], data: Any, spec: PruneSpec) -> float:
    """A rough guess that only weighs the phases of the progress bar."""
    if data is None:
        return 0.0
    inner = sum(d.size for d in plan if d.parameter.part != "embedding")
    passes = 3 + (3 if spec.baselines else 0)
    examples = len(data.labels) if hasattr(data, "labels") else 400
    return float(5 * spec.cost + passes * examples * inner * 2 * 25 / 2e10)
