"""How runs differ beside their masks: quality with its interval, size, settings. Pure functions.

Two measurements on the same data are compared in pairs where both runs kept the outcome of every
example; where one of them did not, their intervals are combined as if the two were independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from kencore.exports.subnetwork.plan import known_bytes
from kencore.quality.paired import accuracy_change, nll_change, similarity_change, unpacked
from kencore.views.compare.peers import unread
from kencore.views.sparsity import why_not_comparable

if TYPE_CHECKING:
    from kencore.runs.run import Run

CHANCE: Final = 0.05
UNSEEN: Final = ("baselines", "cost", "device")  # settings that change neither masks nor quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a second run measured more than a first one on the same data.

    Attributes:
        measure: ``accuracy`` or ``similarity`` (shares), or ``nll`` (nats per token: lower is better).
        first, second: what was measured of the two pruned models.
        low, high: 95 % interval of second - first; ``None`` where it cannot be told.
        paired: from the outcome of every example; else the two were taken for independent, which
            makes the interval wider than it need be on the same examples.
        lost, won, p: of paired accuracies: examples that only the first, only the second tells
            right, and McNemar's exact p.
    """

    measure: str
    first: float
    second: float
    low: float | None
    high: float | None
    paired: bool
    lost: int | None = None
    won: int | None = None
    p: float | None = None

    @property
    def change(self) -> float:
        """Second - first."""
        return self.second - self.first

    @property
    def could_be_chance(self) -> bool | None:
        """Whether the difference may be chance; ``None`` where that cannot be told."""
        if self.p is not None:
            return self.p >= CHANCE
        if self.low is None or self.high is None:
            return None
        return self.low <= 0 <= self.high


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> Difference | str:
    """Compare two ``metrics.json``; a text says why they cannot be compared."""
    if not first or not second:
        return "neither was measured" if not first and not second else "one was not measured"
    if (why := why_not_comparable(first, second)) is not None:
        return why
    known = [unpacked(metrics.get("outcomes")) for metrics in (first, second)]
    a, b = known
    paired = a is not None and b is not None and a.dtype == b.dtype and len(a) == len(b)
    if first.get("task") == "language":
        return _language(first["pruned"], second["pruned"], known if paired else None)
    if first.get("task") == "embedding":
        return _similarity(first["pruned"], second["pruned"], known if paired else None)
    return _accuracy(first["pruned"], second["pruned"], known if paired else None)


def _accuracy(first: Mapping[str, Any], second: Mapping[str, Any], outcomes: Sequence[Any] | None) -> Difference:
    values = {"measure": "accuracy", "first": first["accuracy"], "second": second["accuracy"]}
    if outcomes is not None:
        found = accuracy_change(*outcomes)
        return Difference(
            **values,
            low=found["accuracy_change_low"],
            high=found["accuracy_change_high"],
            paired=True,
            lost=found["lost"],
            won=found["won"],
            p=found["mcnemar_p"],
        )
    ends = [[step.get(f"accuracy_{end}") for end in ("low", "high")] for step in (first, second)]
    low, high = _combined((values["first"], *ends[0]), (values["second"], *ends[1]))
    return Difference(**values, low=low, high=high, paired=False)


def _similarity(first: Mapping[str, Any], second: Mapping[str, Any], outcomes: Sequence[Any] | None) -> Difference:
    values = {"measure": "similarity", "first": first["similarity"], "second": second["similarity"]}
    if outcomes is not None:
        found = similarity_change(*outcomes)
        low, high = found.get("similarity_change_low"), found.get("similarity_change_high")
        return Difference(**values, low=low, high=high, paired=True)
    ends = [[step.get(f"similarity_{end}") for end in ("low", "high")] for step in (first, second)]
    low, high = _combined((values["first"], *ends[0]), (values["second"], *ends[1]))
    return Difference(**values, low=low, high=high, paired=False)


def _language(first: Mapping[str, Any], second: Mapping[str, Any], outcomes: Sequence[Any] | None) -> Difference:
    values = {"measure": "nll", "first": first["nll"], "second": second["nll"]}
    if outcomes is not None:
        found = nll_change(*outcomes)
        return Difference(**values, low=found.get("nll_change_low"), high=found.get("nll_change_high"), paired=True)
    ends = [
        [math.log(step[key]) if step.get(key) else None for key in ("perplexity_low", "perplexity_high")]
        for step in (first, second)
    ]
    low, high = _combined((values["first"], *ends[0]), (values["second"], *ends[1]))
    return Difference(**values, low=low, high=high, paired=False)


def _combined(first: tuple[float, Any, Any], second: tuple[float, Any, Any]) -> tuple[float | None, float | None]:
    """The interval of second - first from (value, low, high) of each, taken for independent:
    Newcombe's hybrid (Statistics in Medicine 17, 1998, method 10).
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    if None in (a_low, a_high, b_low, b_high):
        return None, None
    change = b - a
    return (change - math.hypot(b - b_low, a_high - a), change + math.hypot(b_high - b, a - a_low))


def sizes(run: Run) -> dict[str, int | None]:
    """``kept`` and ``pruned`` entries, ``params`` of the model, ``bytes_dense``, ``bytes_stored``
    (kept values and masks) and ``bytes_subnetwork`` (the whole file, where it was measured, and of a run that codes
    differences).
    """
    totals = run.totals
    names = ("kept", "pruned", "params", "bytes_dense", "bytes_stored")
    measured = ((run.metrics.get("cost") or {}).get("bytes") or {}).get("subnetwork")
    if measured is None and run.spec.coded:
        measured = known_bytes(run)
    return {name: totals[name] for name in names} | {"bytes_subnetwork": measured}


def settings(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Settings that differ between the runs: name -> the value of each, in their order.

    Beside the fields of `PruneSpec` there are ``tuned`` (steps of recovery after pruning, 0 where
    there were none) and ``versions`` (of libraries, as text).
    """
    found = [_settings(run) for run in runs]
    return {
        name: [own[name] for own in found] for name in found[0] if any(own[name] != found[0][name] for own in found)
    }


def _settings(run: Run) -> dict[str, Any]:
    asked = {name: value for name, value in asdict(run.spec).items() if name not in UNSEEN}
    tuned = run.record.get("tuned") or {}
    versions = ", ".join(f"{name} {text}" for name, text in sorted(run.versions.items()))
    asked |= dict.fromkeys(unread(run.spec))  # a setting that this run did not read is none of its own
    return asked | {"tuned": int(tuned.get("steps", 0)), "versions": versions}
