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
from typing import Any, ClassVar

from kencore.errors import SpecError
from kencore.settings import checks
from kencore.settings.json import JsonSettings
from kencore.settings.prune import PruneSpec
from kencore.system.devices import check_device

MOST_POINTS = 1_000
MOST_COMBINATIONS = 1_000_000
ID_LETTERS = 12
AXES = {
    "methods": "method",
    "allocations": "allocation",
    "keeps": "keep",
    "ks": "k",
    "rescales": "rescale",
    "seeds": "seed",
}
"""Axes of the grid, and the field of a `PruneSpec` that each one sets."""
# allocations that look at weights alone
WITHOUT_TEXT = ("uniform", "alpha")


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A combination that cannot be, whatever the seed: ``reason`` is the error's message."""

    method: str
    allocation: str
    rescale: str
    keep: float | None
    k: int | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec(JsonSettings):
    """A grid of prunings of one model.

    Args:
        model, base, model_revision, base_revision, scope, embeddings, vectors, head, step,
            reference, refine, calibration, sequences, search_sequences, window, propagate, fast,
            published, evaluation, windows, baselines, device: of every point, see `PruneSpec`.
            ``base=None`` means the demo's own base where a point's method needs one.
        methods, allocations, rescales, seeds: each with each; see the fields of `PruneSpec` that
            are named in the singular.
        keeps: shares kept; exactly one of ``keeps`` and ``ks``. ks: entries kept per row.

    Repeated values count once. Points that differ by a seed that nothing depends on are one point,
    of the smallest seed, see `takes_seed`.

    Raises:
        SpecError: a value that no point could have, no point at all, or more than 1,000.
    """

    remedy: ClassVar[str] = "Say which model to prune."

    model: str
    methods: tuple[str, ...] = ("ken",)
    allocations: tuple[str, ...] = ("uniform",)
    keeps: tuple[float, ...] = ()
    ks: tuple[int, ...] = ()
    rescales: tuple[str, ...] = ("none",)
    seeds: tuple[int, ...] = (0,)
    base: str | None = None
    model_revision: str | None = None
    base_revision: str | None = None
    scope: tuple[str, ...] = ("all",)
    embeddings: bool = True
    vectors: bool = True
    head: bool = True
    step: str = "block"
    reference: str = "local"
    refine: str = "none"
    calibration: str = "pydoc"
    sequences: int = 128
    search_sequences: int = 8
    window: int | None = None
    propagate: str = "pruned"
    fast: bool = False
    published: bool = False
    evaluation: str | None = None
    windows: int | None = None
    baselines: bool = True
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in AXES:
            object.__setattr__(self, name, _axis(name, getattr(self, name)))
        _check_common(self)
        _check_axes(self)
        object.__setattr__(self, "keeps", tuple(dict.fromkeys(float(k) for k in self.keeps)))
        object.__setattr__(self, "scope", checks.checked_scope(self.scope))
        _check_size(self)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the settings: the same grid, in any order, is one sweep."""
        data = asdict(self) | {name: sorted(getattr(self, name)) for name in AXES}
        text = json.dumps(data | {"scope": sorted(self.scope)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:ID_LETTERS]

    def points(self) -> tuple[PruneSpec, ...]:
        """The prunings, method by method, in the order of the axes; none twice."""
        return tuple(dict.fromkeys(point for point in _tried(self) if isinstance(point, PruneSpec)))

    def skipped(self) -> tuple[Skipped, ...]:
        """Combinations of the grid that cannot be, each with the reason."""
        return tuple(point for point in _tried(self) if isinstance(point, Skipped))

    def point_id(self, point: PruneSpec) -> str:
        """The id of a point's run: ``sweep-<id of the sweep>-delta-0.5-s0``."""
        words = [point.method]
        words += [word for word in (point.allocation,) if word != "uniform"]
        words += [word for word in (point.rescale,) if word != "none"]
        words += [f"k{point.k}" if point.k is not None else repr(point.keep), f"s{point.seed}"]
        return f"sweep-{self.id}-{'-'.join(words)}"


def takes_seed(point: PruneSpec) -> bool:
    """Whether another seed gives another mask.

    It does where entries are drawn, and where text is read, whose windows are drawn; ``ken``,
    ``ken-density``, ``delta`` and ``magnitude`` with an allocation that looks at weights alone
    are the same for every seed.
    """
    if point.method == "random" or point.method in checks.NEEDS_ACTIVATIONS:
        return True
    return point.allocation not in WITHOUT_TEXT or point.refine != "none"


def _tried(spec: SweepSpec) -> Iterator[PruneSpec | Skipped]:
    """Every combination: its point, once for each seed that matters, or why there is none."""
    common = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name not in AXES}
    budgets: list[dict[str, Any]] = [{"keep": keep} for keep in spec.keeps]
    budgets += [{"k": k} for k in spec.ks]
    axes = itertools.product(spec.methods, spec.allocations, spec.rescales, budgets)
    for method, allocation, rescale, budget in axes:
        own = {"method": method, "allocation": allocation, "rescale": rescale, **budget}
        try:
            first = PruneSpec(**common, **own, seed=min(spec.seeds))
        except SpecError as error:
            yield Skipped(**{"keep": None, "k": None} | own, reason=str(error))
            continue
        for seed in spec.seeds if takes_seed(first) else (first.seed,):
            yield replace(first, seed=seed)


# --- what is refused --------------------------------------------------------------------------


def _axis(name: str, values: Any) -> tuple[Any, ...]:
    """The values of an axis, each once."""
    if not isinstance(values, (list, tuple)):
        raise SpecError(name, got=repr(values), wanted="a list of values", remedy="Pass a list, also for one.")
    try:
        return tuple(dict.fromkeys(values))
    except TypeError:
        raise SpecError(name, got=repr(values), wanted="plain values", remedy="Pass words or numbers.") from None


def _check_common(spec: SweepSpec) -> None:
    for name in ("model", "calibration"):
        checks.check_text(name, getattr(spec, name), optional=False)
    for name in ("base", "model_revision", "base_revision", "evaluation"):
        checks.check_text(name, getattr(spec, name), optional=True)
    for name in set(checks.CHOICES) - set(AXES.values()):
        checks.check_choice(name, getattr(spec, name))
    for name in checks.SWITCHES:
        checks.check_switch(name, getattr(spec, name))
    for name in checks.COUNTS:
        checks.check_count(name, getattr(spec, name))
    check_device(spec.device)


def _check_axes(spec: SweepSpec) -> None:
    for name in ("methods", "allocations", "rescales", "seeds"):
        if not getattr(spec, name):
            raise SpecError(name, got="nothing", wanted="one or more", remedy="Name one.")
    for name in ("methods", "allocations", "rescales"):
        for value in getattr(spec, name):
            checks.check_choice(AXES[name], value)
    for seed in spec.seeds:
        checks.check_seed(seed)
    if bool(spec.keeps) == bool(spec.ks):
        raise SpecError(
            "keeps and ks",
            got="both" if spec.keeps else "neither",
            wanted="one of them",
            remedy="Say which shares to keep, such as 0.9, 0.5 and 0.25.",
        )
    for keep in spec.keeps:
        number = isinstance(keep, (int, float)) and not isinstance(keep, bool)
        if not (number and math.isfinite(keep) and 0 < keep <= 1):
            raise SpecError(
                "keeps", got=repr(keep), wanted="shares above 0 and up to 1", remedy="To keep half, pass 0.5."
            )
    for k in spec.ks:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise SpecError(
                "ks", got=repr(k), wanted="whole numbers of entries per row, 1 or more", remedy="For shares pass keeps."
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
