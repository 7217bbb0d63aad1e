"""Who is first and who is last, honestly: what looks the same once it is rounded is a tie, and a tie has no winner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_NAMED: Final = 2  # places that share an end and are still named


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One end of some values.

    Attributes:
        value: as it is shown.
        places: all whose value is shown so, in order.
    """

    value: str
    places: tuple[str, ...]

    def where(self, many: str = "places") -> str:
        """The places by name while they are few, else how many: ``block 3``, ``4 blocks``."""
        return " and ".join(self.places) if len(self.places) <= _NAMED else f"{len(self.places)} {many}"


def ends(values: Sequence[float], names: Sequence[str], say: Callable[[float], str]) -> tuple[End, End] | None:
    """The least and the largest of some values, ties by what ``say`` shows; ``None`` where all are shown the same.

    Args:
        values: finite, at least one.
        names: of each of them.
        say: how a value is shown.
    """
    shown = [say(value) for value in values]
    low, high = (shown[values.index(pick(values))] for pick in (min, max))
    if low == high:
        return None
    least, most = (
        End(value=end, places=tuple(name for name, said in zip(names, shown, strict=True) if said == end))
        for end in (low, high)
    )
    return least, most
