"""What the trade-off page draws: the tables of a sweep in one measure, with names for people.

The arithmetic is `kencore.views.tradeoff`'s; here are names, units, and what stands in which column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from app.charts.base import lines
from kencore.methods.table import method_color
from kencore.views import tradeoff
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words import sweep as words

if TYPE_CHECKING:
    from kencore.sweeps.shelf import Sweep

DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS: Final = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "triangle-down",
    "cross",
    "x",
    "star",
    "circle-open",
    "square-open",
    "diamond-open",
    "triangle-up-open",
    "triangle-down-open",
    "cross-open",
    "x-open",
    "star-open",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What quality is: its name, whether less of it is better, and how a number of it is said."""

    name: str
    label: str
    lower: bool
    say: Callable[[float], str]


ACCURACY: Final = Measure(name="accuracy", label="accuracy", lower=False, say=wording.percent)
SIMILARITY: Final = Measure(name="similarity", label="similarity", lower=False, say=wording.percent)
F1: Final = Measure(name="f1", label="macro F1", lower=False, say=wording.percent)
PERPLEXITY: Final = Measure(name="perplexity", label="perplexity", lower=True, say=facts.perplexity)
LOSS: Final = Measure(name="loss", label="loss", lower=True, say=lambda value: f"{value:.3f}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to prune: its name and its look, the same on the whole page."""

    label: str
    color: str
    dash: str
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A model that a curve is compared with. ``low`` and ``high`` may be NaN; ``nbytes`` is the
    size of its checkpoint, NaN where it is not drawn by size.
    """

    label: str
    value: float
    low: float
    high: float
    nbytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """A sweep in one measure.

    Attributes:
        table: `kencore.views.tradeoff.curve` with ``value``, ``value_low`` and ``value_high`` (in the
            measure), ``budget`` (in words), ``nbytes`` (size of the file), ``size`` (what counts as small: the share
            kept, or the file where a way codes differences instead), ``knee`` and ``front``.
        ways: the look of each ``name`` of the table.
        dense, base: measured beside them, ``None`` where they were not.
    """

    table: pd.DataFrame
    ways: dict[str, Way]
    measure: Measure
    dense: Reference | None
    base: Reference | None


def measures(points: pd.DataFrame) -> dict[str, Measure]:
    """The measures that there are figures of, the usual one first."""
    measured = points[points["quality"].notna()]
    if "perplexity" in set(measured["metric"]):
        found = [PERPLEXITY, LOSS]
    else:
        found = [SIMILARITY if "similarity" in set(measured["metric"]) else ACCURACY]
        found += [F1] if measured["f1_macro"].notna().any() else []
        found += [LOSS] if measured["loss"].notna().any() else []
    return {measure.name: measure for measure in found}


def curves(
    sweep: Sweep,
    measure: Measure,
    *,
    baselines: bool = True,
    base: Mapping[str, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Curves:
    """The curves of a sweep.

    Args:
        baselines: with the baselines that were measured beside the points.
        base: what was measured of the base model.
        sizes: bytes of the file of each run; those it lacks have ``bytes_stored``.
    """
    points = sized(sweep.points, sizes or {})
    other = sweep.baselines if baselines else None
    own = _in_measure(points, measure)
    table = tradeoff.curve(own, None if other is None else _in_measure(_sized_alike(other, points), measure))
    if own["low"].isna().all():  # the spread of seeds alone would pass for the whole interval
        nothing = float("nan")
        table = table.assign(low=nothing, high=nothing, score_low=table["score"], score_high=table["score"])
    dense = sweep.dense
    by = "bytes_stored" if table[["bits", "bytes"]].notna().any(axis=None) else "kept_share"
    knees = set(tradeoff.knees(table, _scored(dense, measure) if dense else None, size=by).values())
    table = table.assign(
        knee=table.index.isin(list(knees)),
        nbytes=table["bytes_stored"],
        size=table[by],
        front=tradeoff.front(table[by], table["score"]) if len(table) else [],
        budget=[words.budget(line) for line in lines(table)],
        **_values(table, measure),
    )
    size = points["bytes_dense"].dropna()
    nbytes = float(size.iloc[0]) if len(size) else float("nan")
    zero = set(points["restore"]) == {"zero"}
    return Curves(
        table=table,
        ways=ways(sweep),
        measure=measure,
        dense=_reference(f"{'dense' if zero else 'tuned'} model", dense, measure, nbytes),
        base=_reference("base, everything reset", base, measure, float("nan")),
    )


def ways(sweep: Sweep) -> dict[str, Way]:
    """The look of every way to prune that the sweep has, baselines included.

    A method has its color on all pages; those of one color differ in dash, all differ in mark.
    """
    found: dict[str, Way] = {}
    for number, (name, (label, method)) in enumerate(words.labels(sweep).items()):
        color = method_color(method)
        alike = sum(way.color == color for way in found.values())
        found[name] = Way(
            label=label, color=color, dash=DASHES[alike % len(DASHES)], symbol=SYMBOLS[number % len(SYMBOLS)]
        )
    return found


def sized(points: pd.DataFrame, sizes: Mapping[str, int]) -> pd.DataFrame:
    """`Sweep.points` with the size of the file of each run that ``sizes`` has."""
    known = points["run"].map(sizes).astype("Int64")
    return points.assign(bytes_stored=known.fillna(points["bytes_stored"]))


def _sized_alike(baselines: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Baselines with the file size of a point that keeps as much."""
    known = points.dropna(subset=["bytes_stored"])
    by_share = dict(zip(known["kept_share"], known["bytes_stored"], strict=True))
    found = baselines["kept_share"].map(by_share).astype("Int64")
    return baselines.assign(bytes_stored=found.fillna(baselines["bytes_stored"]))


# --- one measure ------------------------------------------------------------------------------


def _in_measure(table: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """A table whose ``quality`` is the measure's, rising with quality as `curve` wants it.

    Perplexity and its loss are the same there: it compares perplexities by their loss.
    """
    if measure is F1:
        return table.assign(metric="f1", quality=table["f1_macro"], low=table["f1_low"], high=table["f1_high"])
    if measure is LOSS and "perplexity" not in set(table["metric"]):
        nothing = float("nan")
        return table.assign(metric="loss", quality=-table["loss"], low=nothing, high=nothing)
    return table


def _values(table: pd.DataFrame, measure: Measure) -> dict[str, pd.Series[float]]:
    """The columns of the measure itself, out of scores that rise with quality."""
    if measure is LOSS:
        known = table["low"].notna()
        low, high = (-table[name].where(known) for name in ("score_high", "score_low"))
        found = (-table["score"], low, high)
    else:
        found = (table["quality"], table["low"], table["high"])
    return dict(zip(("value", "value_low", "value_high"), found, strict=True))


def _scored(quality: Mapping[str, Any], measure: Measure) -> dict[str, Any]:
    """Figures such that `kencore.views.tradeoff.score_of` gives their score in the measure."""
    if measure is F1:
        return {"accuracy": quality["f1_macro"]}
    if measure is LOSS and "nll" not in quality:
        return {"accuracy": -quality["loss"]}
    return dict(quality)


def _reference(label: str, quality: Mapping[str, Any] | None, measure: Measure, nbytes: float) -> Reference | None:
    if not quality:
        return None
    key = {"f1": "f1_macro"}.get(measure.name, measure.name)
    key = "nll" if measure is LOSS and "nll" in quality else key
    if quality.get(key) is None:
        return None
    low, high = (float(quality.get(f"{key}_{end}", "nan")) for end in ("low", "high"))
    if key == "nll" and "perplexity_low" in quality:
        low, high = (_log(quality[f"perplexity_{end}"]) for end in ("low", "high"))
    return Reference(label=label, value=float(quality[key]), low=low, high=high, nbytes=nbytes)


def _log(value: float) -> float:
    import math

    return math.log(value) if value > 0 else float("nan")
