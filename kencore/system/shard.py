"""A part of some work for one of several processes, on one machine or on many with one store."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from kencore.errors import SpecError

T = TypeVar("T")
_TEXT = re.compile(r"(\d{1,6})/(\d{1,6})")
SLURM = "SLURM_ARRAY_TASK_ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Points ``index``, ``index + count``, ``index + 2 count`` ... of a sweep, or of other work, counted from 0.

    Raises:
        SpecError: not 0 <= index < count.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise _wrong(f"{self.index}/{self.count}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def alone(self) -> bool:
        """Whether it is all of the sweep."""
        return self.count == 1

    def of(self, points: Sequence[T]) -> list[T]:
        """Its points. The shards of one count hold every point once."""
        return list(points[self.index :: self.count])

    @classmethod
    def from_text(cls, text: str) -> Shard:
        """The shard ``i/n``.

        Raises:
            SpecError: not of that form.
        """
        match = _TEXT.fullmatch(text.strip())
        if match is None:
            raise _wrong(repr(text))
        return cls(index=int(match[1]), count=int(match[2]))

    @classmethod
    def from_slurm(cls, environment: Mapping[str, str] = os.environ) -> Shard:
        """The place of this process in a Slurm job array; all of the sweep outside of one.

        Raises:
            SpecError: what Slurm says is no place in an array.
        """
        if SLURM not in environment:
            return cls()
        names = {"first": "SLURM_ARRAY_TASK_MIN", "step": "SLURM_ARRAY_TASK_STEP", "count": "SLURM_ARRAY_TASK_COUNT"}
        try:
            place = int(environment[SLURM])
            first, step, count = (int(environment.get(name, 1)) for name in names.values())
            return cls(index=(place - first) // step, count=count)
        except (ValueError, ZeroDivisionError) as error:
            raise _wrong(f"{SLURM}={environment[SLURM]} without a place in its array") from error


def _wrong(got: str) -> SpecError:
    return SpecError(
        "shard",
        got=got,
        wanted="i/n: part i of n, i from 0 to n - 1",
        remedy="Start n processes with 0/n to n-1/n; 0/1 is the whole sweep.",
    )
