"""A grid of prunings: method x allocation x budget x rescale x seed, checked before a model loads.

The point of a grid is a `PruneSpec`, and its run is the run that `prune` would make of it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from kencore.allocate.table import ALLOCATIONS, UNIFORM
from kencore.errors import SpecError
from kencore.methods.table import METHODS
from kencore.settings import checks
from kencore.settings.common import PruningSettings
from kencore.settings.fields import setting, settings_of
from kencore.settings.prune import PruneSpec
from kencore.system import people

MOST_POINTS = 1_000
MOST_COMBINATIONS = 1_000_000
ID_LETTERS = 12
AXES = {
    "methods": "method",
    "allocations": "allocation",
    "keeps": "keep",
    "ks": "k",
    "bits": "bits",
    "bytes": "bytes",
    "rescales": "rescale",
    "seeds": "seed",
}
"""Axes of the grid, and the field of a `PruneSpec` that each one sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A combination that cannot be, whatever the seed: ``reason`` is the error's message."""

    method: str
    allocation: str
    rescale: str
    keep: float | None
    k: int | None
    reason: str
    bits: float | None = None
    bytes: int | None = None


_POINT = settings_of(PruneSpec)


def _axis(name: str, default: tuple[Any, ...], *, least: int = 1, **declared: Any) -> Any:
    """Several values of a setting of `PruneSpec`."""
    return setting("several", default, each=_POINT[name], low=least, commas=True, **declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec(PruningSettings):
    """A grid of prunings of one model: methods, allocations, budgets, rescalings and seeds, each with each.

    Args:
        methods, allocations, rescales, seeds: see the settings of `PruneSpec` that are named in
            the singular.
        keeps: shares kept; exactly one of ``keeps`` and ``ks``, where a method keeps weights. ks: entries kept per row.
        bits, bytes: of methods that code differences: bits per weight of the model, bytes of the file; one or both.

    What every point has is as of `PruningSettings`; ``base=None`` means the demo's own base where
    a point's method needs one. Repeated values count once. Points that differ by a seed that
    nothing depends on are one point, of the smallest seed, see `takes_seed`.

    Raises:
        SpecError: a value that no point could have, no point at all, or more than 1,000.
    """

    methods: tuple[str, ...] = _axis("method", ("ken",), label="Methods", help="Which weights are kept.")
    allocations: tuple[str, ...] = _axis(
        "allocation", (UNIFORM,), label="How sparsity is shared", help="Other than uniform: language models only."
    )
    keeps: tuple[float, ...] = _axis("keep", (), least=0, label="Shares that are kept", help="Shares that are kept.")
    ks: tuple[int, ...] = _axis("k", (), least=0, help="Instead of keeps: weights kept per row.")
    bits: tuple[float, ...] = _axis(
        "bits", (), least=0, label="Bits per weight", help="Of bytes: sizes of the file in bits per weight."
    )
    bytes: tuple[int, ...] = _axis("bytes", (), least=0, label="Bytes of the file", help="Of bytes: sizes of the file.")
    rescales: tuple[str, ...] = _axis(
        "rescale",
        ("none",),
        label="Rescale kept values",
        help="Larger kept differences make up for those that were reset. Kept values are then no longer the tuned "
        "ones.",
    )
    seeds: tuple[int, ...] = _axis(
        "seed",
        (0,),
        label="Seeds",
        help="A point for each seed where chance plays a part (a random choice, text that is drawn for calibration); "
        "other points are the same for every seed and are made once.",
    )

    def __post_init__(self) -> None:
        checks.check(self)
        _check_coded(self)
        if self._keeps_weights and bool(self.keeps) == bool(self.ks):
            raise SpecError(
                "keeps and ks",
                got="both" if self.keeps else "neither",
                wanted="one of them",
                remedy="Say which shares to keep, such as 0.9, 0.5 and 0.25.",
            )
        _check_size(self)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the settings: the same grid, in any order, is one sweep of a person's."""
        return self.id_for(people.owner())

    def id_for(self, owner: str | None) -> str:
        """The id of the sweep of that person, ``None``: of everybody."""
        data = asdict(self) | {name: sorted(getattr(self, name)) for name in AXES}
        if self.cost:  # as of sweeps from before it could be left out
            del data["cost"]
        if not self.bos:  # nor was there this
            del data["bos"]
        for name in ("bits", "bytes"):  # nor these
            if not data[name]:
                del data[name]
        data |= {"measured": True} if self._mixed else {}
        data |= {} if owner is None else {"owner": owner}
        text = json.dumps(data | {"scope": sorted(self.scope)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:ID_LETTERS]

    def points(self) -> tuple[PruneSpec, ...]:
        """The prunings, method by method, in the order of the axes; none twice.

        Where some look at activations, the others prune what these can measure and no more: all
        points of one budget share one set of parameters.
        """
        found = tuple(dict.fromkeys(point for point in _tried(self) if isinstance(point, PruneSpec)))
        if not self._mixed or not any(point.streams for point in found):
            return found
        return tuple(point if point.streams or point.coded else replace(point, measured=True) for point in found)

    @property
    def _keeps_weights(self) -> bool:
        """Whether some method keeps weights, or is asked to."""
        return not (self.bits or self.bytes) or any(not METHODS[name].coded for name in self.methods)

    @property
    def _mixed(self) -> bool:
        """Whether some combinations look at activations and others do not."""
        looks = {METHODS[name].activations or other != UNIFORM for name in self.methods for other in self.allocations}
        return len(looks) == 2 and self.refine == "none" and not self.published

    def skipped(self) -> tuple[Skipped, ...]:
        """Combinations of the grid that cannot be, each with the reason."""
        return tuple(point for point in _tried(self) if isinstance(point, Skipped))

    def point_id(self, point: PruneSpec, sweep: str | None = None) -> str:
        """The id of a point's run, ``sweep-<id of the sweep>-delta-0.5-s0``; ``sweep``: that id, else one's own."""
        words = [point.method]
        words += [word for word in (point.allocation,) if word != UNIFORM]
        words += [word for word in (point.rescale,) if word != "none"]
        words += [_budget(point), f"s{point.seed}"]
        return f"sweep-{sweep or self.id}-{'-'.join(words)}"


def _budget(point: PruneSpec) -> str:
    """How much a point keeps or stores, as ids have it."""
    if point.coded:
        return f"bytes{point.bytes}" if point.bits is None else f"bits{float(point.bits)!r}"
    return f"k{point.k}" if point.k is not None else repr(point.keep)


def takes_seed(point: PruneSpec) -> bool:
    """Whether another seed gives another mask.

    It does where entries are drawn, and where text is read, whose windows are drawn; other
    methods are the same for every seed with an allocation that looks at weights alone.
    """
    method = METHODS[point.method]
    if method.draws or method.activations:
        return True
    return ALLOCATIONS[point.allocation].reads_text or point.refine != "none"


def _tried(spec: SweepSpec) -> Iterator[PruneSpec | Skipped]:
    """Every combination: its point, once for each seed that matters, or why there is none."""
    common = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name not in AXES}
    kept: list[dict[str, Any]] = [{"keep": keep} for keep in spec.keeps] + [{"k": k} for k in spec.ks]
    coded: list[dict[str, Any]] = [{"bits": bits} for bits in spec.bits] + [{"bytes": size} for size in spec.bytes]
    for method, allocation, rescale in itertools.product(spec.methods, spec.allocations, spec.rescales):
        for budget in coded if coded and METHODS[method].coded else kept:
            own: dict[str, Any] = {"method": method, "allocation": allocation, "rescale": rescale, **budget}
            yield from _at(spec, common, own)


def _at(spec: SweepSpec, common: dict[str, Any], own: dict[str, Any]) -> Iterator[PruneSpec | Skipped]:
    """A combination's point, once for each seed that matters, or why there is none."""
    try:
        first = PruneSpec(**common, **own, seed=min(spec.seeds))
    except SpecError as error:
        yield Skipped(**{"keep": None, "k": None} | own, reason=str(error))
        return
    for seed in spec.seeds if takes_seed(first) else (first.seed,):
        yield replace(first, seed=seed)


def _check_coded(spec: SweepSpec) -> None:
    """Refuse sizes in bits or bytes without a method that takes them, and the other way round."""
    coded = [name for name in spec.methods if METHODS[name].coded]
    given = [name for name in ("bits", "bytes") if getattr(spec, name)]
    if not given:  # what codes differences is then left out, and why is said
        return
    if not coded:
        named = " or ".join(name for name, row in METHODS.items() if row.coded)
        raise SpecError(
            given[0],
            got="sizes of a file without a method that takes them",
            wanted=f"the method {named}",
            remedy=f"Add {named} to the methods, or leave {given[0]} out.",
        )
    for name in ("keeps", "ks"):
        if getattr(spec, name) and len(coded) == len(spec.methods):
            raise SpecError(
                name,
                got=f"a number of weights beside {coded[0]} alone",
                wanted="a method that keeps weights",
                remedy=f"Leave {name} out, or add another method.",
            )


def _check_size(spec: SweepSpec) -> None:
    combinations = math.prod(len(getattr(spec, name)) or 1 for name in AXES)
    points: set[PruneSpec] = set()
    reason = ""
    for point in _tried(spec) if combinations <= MOST_COMBINATIONS else ():
        if isinstance(point, Skipped):
            reason = reason or point.reason
            continue
        points.add(point)
        if len(points) > MOST_POINTS:
            break
    if combinations > MOST_COMBINATIONS or len(points) > MOST_POINTS:
        raise SpecError(
            "sweep",
            got=f"a grid of {combinations:,} combinations",
            wanted=f"at most {MOST_POINTS:,} prunings",
            remedy="Make it two sweeps, or thin it.",
        )
    if not points:
        raise SpecError(
            "sweep",
            got=f"no combination that can be ({reason})",
            wanted="at least one pruning",
            remedy="Change the setting that it names.",
        )
