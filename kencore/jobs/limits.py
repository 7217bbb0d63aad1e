"""How much work one person of a server may have.

KENVIZ_EACH_WAITING     jobs that wait at the same time
KENVIZ_EACH_RUNNING     jobs that run at the same time; further ones wait
KENVIZ_EACH_MINUTES     minutes of work in 24 hours
KENVIZ_EACH_GIGABYTES   of runs in the store

Without a variable there is no such limit. They hold where people are told apart (`kencore.system.people`).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

from kencore.errors import LimitError, SpecError
from kencore.jobs.store import queries

PREFIX: Final = "KENVIZ_EACH_"
DAY: Final = 86_400.0
GIGA: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one person may have; ``None``: as much as they like. See the module.

    Raises:
        SpecError: a number below zero, or none.
    """

    waiting: int | None = None
    running: int | None = None
    minutes: float | None = None
    gigabytes: float | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            low = 1 if one.name == "running" else 0
            if value is not None and not low <= value < float("inf"):
                raise _wrong(PREFIX + one.name.upper(), repr(value), f"a number from {low} up")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Limits from ``environment`` (default: this process's). Raises as the class."""
        given = os.environ if environment is None else environment
        found: dict[str, float | None] = {}
        for one in fields(cls):
            name = PREFIX + one.name.upper()
            text = given.get(name, "").strip()
            try:
                number = float(text) if text else None
            except ValueError:
                raise _wrong(name, repr(text), "a number") from None
            found[one.name] = int(number) if number is not None and number.is_integer() else number
        return cls(**found)  # type: ignore[arg-type]

    def check(self, connection: sqlite3.Connection, user: str, stored: int) -> None:
        """Refuse one more job of ``user``, whose runs take ``stored`` bytes.

        Raises:
            LimitError: they have as many as they may.
        """
        waiting = queries.count_of(connection, user, "queued")
        if self.waiting is not None and waiting >= self.waiting:
            raise _reached(f"{waiting:,} jobs that wait", f"at most {self.waiting:,}", "Wait, or cancel one of yours.")
        minutes = queries.seconds_of(connection, user, since=time.time() - DAY) / 60
        if self.minutes is not None and minutes >= self.minutes:
            got = f"{minutes:,.0f} minutes of work in the last 24 hours"
            raise _reached(got, f"less than {self.minutes:,.0f}", "Try again later.")
        if self.gigabytes is not None and stored >= self.gigabytes * GIGA:
            got = f"runs of {stored / GIGA:,.2f} GB"
            raise _reached(got, f"less than {self.gigabytes:g} GB", "Delete runs that you no longer need, on Runs.")


def _reached(got: str, wanted: str, remedy: str) -> LimitError:
    return LimitError("One more job", got=got, wanted=f"{wanted}, by the limits of this server", remedy=remedy)


def _wrong(name: str, got: str, wanted: str) -> SpecError:
    return SpecError(name, got=got, wanted=wanted, remedy="Correct it, or unset it.")
