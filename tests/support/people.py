"""Somebody who looks at the store, as on a server for several people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kencore.system import people


@contextmanager
def looking(name: str) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """``name`` looks; gives the actions that were told meanwhile."""
    told: list[tuple[str, dict[str, Any]]] = []
    people.ask_by(lambda: name)
    people.tell_by(lambda action, facts: told.append((action, facts)))
    try:
        yield told
    finally:
        people.ask_by(None)
        people.tell_by(None)
