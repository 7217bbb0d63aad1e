"""Other rules at a run's own budget: which settings they have, and whether the store has them.

A peer has the run's models, scope, budget and evaluation, and another rule. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from kencore.allocate.table import ALLOCATIONS, UNIFORM
from kencore.errors import KencoreError
from kencore.methods.table import METHODS
from kencore.runs.shelf import RunSummary
from kencore.settings.demo import base_of
from kencore.settings.prune import PruneSpec

if TYPE_CHECKING:
    from kencore.runs.run import Run

SAME_MASKS: Final = ("baselines", "cost", "device")  # settings that change neither masks nor quality
STREAMED: Final = "wanda"  # the rule that NeuroAL's allocation is compared under
PLAIN: Final[dict[str, Any]] = {"allocation": UNIFORM, "refine": "none", "published": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Another rule at the budget of a run.

    Attributes:
        key: ``ken``, ``delta``, ``magnitude``, ``random``, ``wanda`` or ``neuroal``.
        spec: what makes it; ``None`` where it cannot be made.
        why: why it cannot.
    """

    key: str
    spec: PruneSpec | None
    why: str | None = None


def peers(run: Run) -> list[Peer]:
    """Rules to lay beside a run, without its own: KEN, differences, NeuroAL, Wanda, magnitude,
    random, each with the run's budget.
    """
    spec = run.spec
    found = [
        Peer(key="ken", **_based(run, "ken")),
        Peer(key="delta", **_based(run, "delta")),
        Peer(key="neuroal", **_streamed(run, "neuroal")),
    ]
    if run.language:
        found.append(Peer(key="wanda", **_streamed(run, UNIFORM)))
    found += [Peer(key=rule, **_made(spec, method=rule, **PLAIN)) for rule in ("magnitude", "random")]
    return [peer for peer in found if peer.spec is None or not same(peer.spec, spec)]


def same(first: PruneSpec, second: PruneSpec) -> bool:
    """Whether two settings give the same masks, measured on the same data."""
    return _identity(first) == _identity(second)


def find(spec: PruneSpec, runs: Iterable[RunSummary]) -> str | None:
    """The id of the newest run whose settings are the same, ``None`` where there is none.

    Runs that were tuned after pruning have other values, and are none.
    """
    wanted = _identity(spec)
    matching = [(run.created, run.id) for run in runs if run.problem is None and _asked(run) == wanted]
    return max(matching)[1] if matching else None


def beside(run: Run, runs: Iterable[RunSummary]) -> str | None:
    """The id of a run of the same models, scope and budget that was pruned in another way: the first of those that
    differ in the fewest of rule, allocation, rescaling and refinement; ``None``: there is none.
    """
    wanted, way = _common(run.spec), _way(asdict(run.spec))
    nearest: tuple[int, str] | None = None
    for other in runs:
        found = None if other.problem or other.id == run.id else _asked(other)
        if found is None or any(found.get(name) != wanted[name] for name in wanted):
            continue
        apart = sum(one != own for one, own in zip(_way(found), way, strict=True))
        if apart and (nearest is None or apart < nearest[0]):
            nearest = apart, other.id
        if apart == 1:
            break
    return None if nearest is None else nearest[1]


def _common(spec: PruneSpec) -> dict[str, Any]:
    names = ("model", "base", "keep", "k", "scope", "evaluation")
    return {name: value for name, value in asdict(spec).items() if name in names}


def _way(spec: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(spec[name] for name in ("method", "allocation", "rescale", "refine"))


def _asked(run: RunSummary) -> dict[str, Any] | None:
    if run.tuned_from is not None or not run.spec:
        return None
    try:
        return _identity(PruneSpec.from_dict(dict(run.spec)))
    except (KeyError, TypeError, KencoreError):
        return None


def _identity(spec: PruneSpec) -> dict[str, Any]:
    """The settings that masks and quality depend on: what no part of the job reads is left out."""
    found = {name: value for name, value in asdict(spec).items() if name not in SAME_MASKS}
    for name in unread(spec):
        del found[name]
    return found


def unread(spec: PruneSpec) -> Iterator[str]:
    """Settings that nothing in the making of a run reads."""
    if not spec.streams and not spec.coded:
        yield from ("calibration", "sequences", "propagate")
        if not METHODS[spec.method].draws:
            yield "seed"
    if not ALLOCATIONS[spec.allocation].searched:
        yield from ("search_sequences", "fast")
    if "step" not in ALLOCATIONS[spec.allocation].options:
        yield from ("step", "reference")


def _based(run: Run, method: str) -> dict[str, Any]:
    """A rule that needs a base; a demo's own one where the run has none."""
    spec = run.spec
    base = spec.base or base_of(spec.model, method=method, rescale=spec.rescale)
    if base is None:
        return {"spec": None, "why": "it needs the base model, and this run was made without one"}
    fields = PLAIN | {"method": method, "base": base}
    if spec.base is None:  # the same matrices: those of the blocks
        fields |= {
            "scope": ("blocks",) if spec.scope == ("all",) else spec.scope,
            "vectors": False,
            "embeddings": False,
            "head": False,
        }
    return _made(spec, **fields)


def _streamed(run: Run, allocation: str) -> dict[str, Any]:
    """Wanda with an allocation; NeuroAL's ramp over blocks, then rows, as in the run if it has
    one.
    """
    spec = run.spec
    if not run.language:
        return {"spec": None, "why": "it takes causal language models only"}
    if spec.keep is None:
        return {"spec": None, "why": "it takes a share, not a number of weights per row"}
    own = spec.allocation == "neuroal"
    return _made(
        spec,
        method=spec.method if own else STREAMED,
        allocation=allocation,
        step=spec.step if own else "both",
        refine="none",
        published=False,
    )


def _made(spec: PruneSpec, **changes: Any) -> dict[str, Any]:
    try:
        made = replace(spec, baselines=False, **changes)
    except KencoreError as error:
        return {"spec": None, "why": f"{error.got}; wanted {error.wanted}"}
    return {"spec": made}
