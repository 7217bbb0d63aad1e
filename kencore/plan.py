"""What will happen to every parameter of a model: k kept per row, or left as it is and why."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kencore.errors import ScopeError
from kencore.spec import PruneSpec

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.checkpoint.parameter import Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to one parameter: ``status`` is pruned, untouched or unprunable."""

    parameter: Parameter
    base_name: str | None
    status: str
    reason: str
    k: int | None

    @property
    def shape(self) -> tuple[int, int]:
        return self.parameter.rows, self.parameter.cols

    @property
    def size(self) -> int:
        """Weights in the parameter."""
        return math.prod(self.parameter.shape)


def decide(pair: Pair, spec: PruneSpec) -> list[Decision]:
    """What happens to every parameter of the tuned checkpoint, in its order.

    Raises:
        ScopeError: a term of the scope matches nothing, or nothing is left to prune.
    """
    from kencore.checkpoint.pair import NO_BASE
    from kencore.checkpoint.scope import choose

    reached = choose(
        pair.layout.parameters, spec.scope,
        embeddings=spec.embeddings, vectors=spec.vectors, head=spec.head,
    )  # fmt: skip
    plan = []
    for parameter in pair.layout.parameters:
        base_name = pair.base_names.get(parameter.name)
        inside, why = reached[parameter.name]
        if not parameter.prunable:
            status, reason = "unprunable", parameter.reason
        elif base_name is None:
            status, reason = (
                "unprunable",
                NO_BASE,
            )
        elif not inside:
            status, reason = "untouched", why
        else:
            status, reason = "pruned", ""
        k = spec.row_budget(parameter.cols) if status == "pruned" else None
        plan.append(
            Decision(parameter=parameter, base_name=base_name, status=status, reason=reason, k=k)
        )
    if not any(decision.status == "pruned" for decision in plan):
        raise ScopeError(
            " + ".join(spec.scope), got="nothing left to prune", wanted="at least one matrix",
            remedy="Widen the scope; `python -m kencore inspect` lists what there is.",
        )  # fmt: skip
    return plan


def stored_bytes(shape: tuple[int, int], kept: int, dense: int, size: int) -> int:
    """Bytes of a pruned matrix as kept values plus one bit per entry, or dense if that is less."""
    return min(dense, kept * dense // size + -(-shape[0] * shape[1] // 8))


def row_generator(seed: int, name: str) -> np.random.Generator:
    """The random stream of one tensor: of the seed and its name, not of the order of tensors."""
    words = np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint32)
    return np.random.default_rng([seed, *words.tolist()])
