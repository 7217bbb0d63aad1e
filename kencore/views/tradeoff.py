"""Size against quality: the curve of each way to prune, its knee, and the best way per budget.

Pure functions of the tables of `kencore.sweeps.shelf.Sweep`:

    lines = curve(sweep.points, sweep.baselines)   # one line per way to prune and budget
    knees(lines, sweep.dense)                      # way to prune -> index of the knee in lines
    best_per_budget(lines)                         # winner and who is tied with it
    lines[front(lines["kept_share"], lines["score"])]

Scores rise with quality: a share is its own score, perplexity has minus its loss in nats, since
it is the loss whose differences mean the same everywhere.

# N points, S seeds of one point
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from kencore.models.figures import measure_of

Floats = NDArray[np.float64]
FEWEST = 4  # sizes of a curve that can have a knee: of three, the middle one is no finding
FLAT = 1e-9  # a curve that rises no further above its chord has no knee
BUDGET = ["keep", "k", "bits", "bytes"]
WHOLE = {"k": "Int64", "bytes": "Int64"}
PAIRED = ("accuracy", "similarity", "perplexity")  # what single examples are told right or wrong by
CURVE_COLUMNS = (
    "name",
    "baseline",
    *BUDGET,
    "kept_share",
    "bytes_stored",
    "metric",
    "quality",
    "low",
    "high",
    "score",
    "score_low",
    "score_high",
    "seeds",
    "seed_sd",
    "runs",
)


def way(method: str, allocation: str = "uniform", rescale: str = "none") -> str:
    """A way to prune in words: ``wanda + owl``, ``ken, rescaled by share``; random rescaled by
    share is ``dare``.
    """
    if (method, allocation, rescale) == ("random", "uniform", "share"):
        return "dare"
    words = method if allocation == "uniform" else f"{method} + {allocation}"
    return words if rescale == "none" else f"{words}, rescaled by {rescale}"


def curve(points: pd.DataFrame, baselines: pd.DataFrame | None = None) -> pd.DataFrame:
    """Quality by size of every way to prune: the mean over its seeds, with an interval.

    The interval of a mean over S seeds joins two errors that do not depend on each other. Seeds
    are measured on the same data, so that the error of measuring does not shrink by averaging:
    its half width is the root mean square m of the points' own. The seeds' spread gives half
    width s = t(0.975, S - 1) * sd / sqrt(S), zero for one seed. Below and above the mean the
    interval reaches sqrt(m^2 + s^2), with m taken on that side. A point without an interval of
    its own counts as m = 0.

    Args:
        points: `Sweep.points`; those that are not done or not measured are left out.
        baselines: `Sweep.baselines`, which become further lines where the grid itself has no such
            point at that budget; ``None`` leaves them out.

    Returns:
        One line per way to prune (``name``, see `way`) and budget, in the order of the grid and by
        rising ``kept_share``: ``baseline`` (whether it is none of the grid's own), ``keep``, ``k``,
        ``kept_share``, ``bytes_stored`` (means), ``metric``, ``quality`` with ``low`` to ``high``
        (perplexity: exp of the mean loss and of its interval), ``score`` with ``score_low`` to
        ``score_high``, ``seeds`` (S), ``seed_sd`` (of the score, NaN for one seed) and ``runs``
        (ids of the points).
    """
    own = points[(points["state"] == "done") & points["quality"].notna()]
    own = own.assign(name=[way(*line) for line in _rows(own, ["method", "allocation", "rescale"])], baseline=False)
    parts = [own]
    if baselines is not None and len(baselines):
        other = baselines[baselines["quality"].notna()]
        names = [way(method, rescale=rescale) for method, rescale in _rows(other, ["method", "rescale"])]
        other = other.assign(name=names, baseline=True, run=None)
        taken = set(_keys(own))
        parts.append(other[[key not in taken for key in _keys(other)]])
    every = pd.concat([part.astype(WHOLE) for part in parts if len(part)] or [own])
    if every.empty:
        return pd.DataFrame(columns=list(CURVE_COLUMNS))
    order = {name: i for i, name in enumerate(dict.fromkeys(every["name"]))}
    groups = every.groupby(["name", "baseline", *BUDGET], sort=False, dropna=False)
    lines = [_line(dict(zip(("name", "baseline", *BUDGET), key, strict=True)), group) for key, group in groups]
    table = pd.DataFrame(lines, columns=list(CURVE_COLUMNS))
    table = table.assign(rank=table["name"].map(order))
    table = table.sort_values(["baseline", "rank", "kept_share"], kind="stable")
    return table.drop(columns="rank").reset_index(drop=True)


def score_of(quality: Mapping[str, Any]) -> float:
    """The score of figures as `metrics.json` has them (`Sweep.dense`): accuracy or similarity, or minus nll."""
    measure = measure_of(quality)
    return -float(quality["nll"]) if measure == "perplexity" else float(quality[measure])


# --- front and knee ---------------------------------------------------------------------------


def front(sizes: ArrayLike, scores: ArrayLike) -> NDArray[np.bool_]:
    """Which points (N,) are on the Pareto front: no other is smaller or as small, and as good or
    better, and one of the two strictly. Of equal points all are, or none.
    """
    size, score = np.asarray(sizes, np.float64), np.asarray(scores, np.float64)
    keep = np.zeros(len(size), np.bool_)
    best = -math.inf  # of the smaller ones
    order = np.lexsort((-score, size))  # smallest first, the better first among equals
    for i in order:
        if score[i] > best:
            best = score[i]
            keep[(size == size[i]) & (score == score[i])] = True
    return keep


def knee(sizes: ArrayLike, scores: ArrayLike) -> int | None:
    """The index of the knee of a curve: where more size begins to buy less quality.

    Kneedle (Satopaa et al., 2011, "Finding a Kneedle in a Haystack", section III) without
    smoothing: of each size the best score of all sizes up to it, both axes scaled to 0 ... 1, and
    of these the point of largest score minus size, which is the one furthest above the chord from
    the smallest to the largest size. The smallest size wins among equals. It is on the `front`.
    Scaling or shifting an axis changes nothing.

    Args:
        sizes, scores: (N,) in any order.

    Returns:
        ``None`` for fewer than `FEWEST` sizes, or where no point lies above the chord.
    """
    size, score = np.asarray(sizes, np.float64), np.asarray(scores, np.float64)
    order = np.lexsort((-score, size))  # of equal sizes the best score first
    x, first = np.unique(size[order], return_index=True)
    chosen = order[first]
    y = np.maximum.accumulate(score[chosen])
    if len(x) < FEWEST or y[-1] <= y[0]:
        return None
    above = (y - y[0]) / (y[-1] - y[0]) - (x - x[0]) / (x[-1] - x[0])
    if above.max() <= FLAT:
        return None
    return int(chosen[np.flatnonzero(above >= above.max() - FLAT)[0]])


def knees(lines: pd.DataFrame, dense: Mapping[str, Any] | None = None, *, size: str = "kept_share") -> dict[str, int]:
    """The knee of each way to prune: its name -> the label of its line in ``lines``.

    Args:
        lines: `curve`.
        dense: `Sweep.dense`: the curve's end at size 1, so that the knee does not depend on the
            largest budget of the grid; ``None``, or another ``size``, leaves it out.
        size: the column that counts as size.
    """
    found = {}
    for name, part in lines.groupby("name", sort=False):
        sizes, scores = list(part[size]), list(part["score"])
        if len(set(sizes)) < FEWEST:  # the dense model's point is no measured budget
            continue
        if dense and size == "kept_share":
            sizes, scores = [*sizes, 1.0], [*scores, score_of(dense)]
        place = knee(sizes, scores)
        if place is not None and place < len(part):
            found[str(name)] = int(part.index[place])
    return found


# --- the best way per budget ------------------------------------------------------------------


def best_per_budget(
    lines: pd.DataFrame, could_be_chance: Callable[[str, str], bool | None] | None = None
) -> pd.DataFrame:
    """The best way to prune at each budget, and those that cannot be told from it.

    Another way is tied where two points of one seed each, compared in pairs on the same data, could differ by chance.
    Without pairs it is tied where the 95 % interval of the difference reaches zero: by Newcombe (1998,
    Statistics in Medicine 17, method 10) from the two intervals, best - other <=
    sqrt((best - its low)^2 + (other's high - other)^2). That takes the two measurements for
    independent, so that it leaves ties that pairs decide.

    Args:
        lines: `curve`.
        could_be_chance: of the ids of two points, such as `kencore.sweeps.pairs.could_be_chance`; ``None``, or where it
            gives that: no pairs.

    Returns:
        One line per budget, largest first: ``keep``, ``k``, ``bits``, ``bytes``, ``best`` (name), ``metric``,
        ``quality``, ``low``, ``high``, ``tied`` (tuple of names, best first) and ``words``, such
        as ``delta, tied with dare``. Of equal scores the first in ``lines`` is the best.
    """
    found = []
    for budget, part in lines.groupby(BUDGET, sort=False, dropna=False):
        ranked = part.sort_values("score", ascending=False, kind="stable")
        best, others = ranked.iloc[0], ranked.iloc[1:]
        reach = np.hypot(best["score"] - best["score_low"], others["score_high"] - others["score"])
        alike = list(best["score"] - others["score"] <= reach)
        if could_be_chance is not None and best["metric"] in PAIRED:
            paired = [_paired(best["runs"], runs, could_be_chance) for runs in others["runs"]]
            alike = [one if two is None else two for one, two in zip(alike, paired, strict=True)]
        tied = tuple(others.loc[alike, "name"])
        words = f"{best['name']}, tied with {', '.join(tied)}" if tied else str(best["name"])
        found.append(
            dict(zip(BUDGET, budget, strict=True))
            | {"best": best["name"], "tied": tied, "words": words}
            | {name: best[name] for name in ("metric", "quality", "low", "high")}
        )
    columns = [*BUDGET, "best", "metric", "quality", "low", "high", "tied", "words"]
    table = pd.DataFrame(found, columns=columns).astype(WHOLE)
    return table.sort_values(BUDGET, ascending=False, kind="stable").reset_index(drop=True)


def _paired(
    best: Sequence[str], other: Sequence[str], could_be_chance: Callable[[str, str], bool | None]
) -> bool | None:
    """Whether two ways with one point each could differ by chance; ``None``: they cannot be paired."""
    return could_be_chance(best[0], other[0]) if len(best) == len(other) == 1 else None


# --- one line of a curve ----------------------------------------------------------------------


def _line(key: dict[str, Any], group: pd.DataFrame) -> dict[str, Any]:
    metric = str(group["metric"].iloc[0])
    score, below, above = _scores(group, metric)
    count, mean = len(score), float(score.mean())
    spread = float(score.std(ddof=1)) if count > 1 else math.nan
    half = _t(count - 1) * spread / math.sqrt(count) if count > 1 else 0.0
    low = mean - math.hypot(_rms(below), half)
    high = mean + math.hypot(_rms(above), half)
    quality = [mean, low, high]
    if metric == "perplexity":
        quality = [_exp(-mean), _exp(-high), _exp(-low)]
    runs = tuple(run for run in group["run"] if isinstance(run, str))
    return key | {
        "kept_share": group["kept_share"].mean(),
        "bytes_stored": group["bytes_stored"].mean(),
        "metric": metric,
        "quality": quality[0],
        "low": quality[1],
        "high": quality[2],
        "score": mean,
        "score_low": low,
        "score_high": high,
        "seeds": count,
        "seed_sd": spread,
        "runs": runs,
    }


def _scores(group: pd.DataFrame, metric: str) -> tuple[Floats, Floats, Floats]:
    """Score and how far its interval reaches below and above it, (S,) each."""
    low, high = group["low"].to_numpy(np.float64), group["high"].to_numpy(np.float64)
    if metric != "perplexity":
        score = group["quality"].to_numpy(np.float64)
        return score, _known(score - low), _known(high - score)
    score = -group["loss"].to_numpy(np.float64)
    with np.errstate(divide="ignore"):
        return score, _known(np.log(high) + score), _known(-score - np.log(low))


def _known(reach: Floats) -> Floats:
    """Zero where there is no interval; rounding may leave less than zero."""
    return np.maximum(np.where(np.isfinite(reach), reach, 0.0), 0.0)


def _rms(values: Floats) -> float:
    return math.sqrt(float(np.mean(np.square(values))))


def _t(degrees: int) -> float:
    """97.5 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.975))


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


def _rows(table: pd.DataFrame, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(table[list(columns)].itertuples(index=False, name=None))


def _keys(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Name and budget of each line; NaN, which equals nothing, as -1."""
    return _rows(table.fillna({"keep": -1.0, "k": -1, "bits": -1.0, "bytes": -1}), ["name", *BUDGET])
