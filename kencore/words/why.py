"""Why one weight was kept or passed over, in a sentence or two for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kencore.methods.table import METHODS

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec
    from kencore.views.why import Why

_MOST_DIGITS: Final = 7  # that a float32 holds


def headline(found: Why, restore: str) -> str:
    """What became of a weight and what decided it, as a title."""
    fate = "stayed" if found.kept else "was reset" if restore == "base" else "became zero"
    start = f"This weight {fate}"
    if found.kind == "grid":
        return f"{start}: {'a grid point took it' if found.kept else 'its grid point took another'}"
    if found.height is None or not found.agrees:
        return start
    side = "right at" if found.height == found.threshold else "above" if found.kept else "below"
    what = "score" if found.kind == "ranked" else "density"
    return f"{start}: its {what} is {side} the row's threshold"


def reason(found: Why, spec: PruneSpec) -> str:
    """What decided about a weight.

    Args:
        found: `kencore.views.why.why`.
        spec: of the run.
    """
    if found.kind == "grid":
        return _by_grid(found)
    row = METHODS[spec.method]
    if found.height is None or found.threshold is None:
        return row.story[0] if row.row_score is None and not row.density else row.unranked
    height, threshold = told_apart((found.height, found.threshold))
    what = f"Its score is {height}{f', {row.scored}' if row.scored else ''}"
    if found.kind == "density":
        what = f"Around it the row's values are crowded to a density of {height}"
    said = f"{what}: number {found.rank:,} of {found.cols:,} in the row, which keeps the {found.kept_in_row:,} highest"
    if not found.agrees:
        return f"{said}. {_not_sharp(spec)}"
    if found.height == found.threshold and not found.kept:
        return f"{said}; others with the same came first."
    return f"{said}, down to {threshold}."


def _not_sharp(spec: PruneSpec) -> str:
    if spec.refine == "dsnot":
        return "Afterwards DSnoT swapped weights, so the rank alone did not decide."
    if METHODS[spec.method].activations:
        return (
            "The run itself ranked with signals from before this part of the model was pruned, so near the threshold "
            "its order was another."
        )
    return "The rank alone did not decide."


def _by_grid(found: Why) -> str:
    assert found.point is not None
    assert found.visit is not None
    if found.took is None:
        value, point = told_apart((found.value, found.point))
        return (
            f"The grid point at {point}, number {found.visit + 1:,} of {found.kept_in_row:,} to choose, took {value}: "
            "no free value was nearer."
        )
    value, point, took = told_apart((found.value, found.point, found.took))
    said = f"The grid point nearest to {value} stands at {point} and took {took} instead, "
    said += "which lies nearer" if abs(found.took - found.point) < abs(found.value - found.point) else "just as near"
    if found.crowd is not None and found.crowd > 2:
        return f"{said}; {found.crowd:,} values crowd around that one point."
    return f"{said}."


def told_apart(values: Sequence[float], least: int = 3) -> list[str]:
    """Values in as many digits as it takes to tell different ones apart, ``least`` at first."""
    for digits in range(least, _MOST_DIGITS + 3):
        said = [number(value, digits) for value in values]
        if len(set(said)) == len(set(values)):
            return said
    return said


def number(value: float, digits: int = 3) -> str:
    """A value in so many digits: ``0.0213``, ``−0.0900``, ``1.50e-07``; zero is ``0``."""
    if not value:
        return "0"
    text = f"{abs(value):#.{digits}g}".rstrip(".")
    return f"−{text}" if value < 0 else text


def moved(tuned: float, base: float, now: float, *, kept: bool, spec: PruneSpec, trained: bool) -> str:
    """Where a weight was before, and what it is now.

    Args:
        kept: whether it was kept.
        trained: whether the run was trained after pruning.
    """
    before, after, at = told_apart((base, tuned, now))
    start = f"Fine-tuning had moved it from {before} to {after}" if spec.restore == "base" else f"It was {after}"
    if kept and now == tuned:
        return f"{start}, and there it stayed." if spec.restore == "base" else f"{start} and still is."
    if kept:
        return f"{start}. {'Training' if trained else 'What pruning did afterwards'} made it {at}."
    return f"{start}. Now it is {at}{' again' if spec.restore == 'base' and now == base else ''}."
