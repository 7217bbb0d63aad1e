"""What tables of named rows share: functions that load when they are asked for, and rows on trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

Lazy = str | Callable[..., Any]
"""A function, or its place as ``"module:function"``."""

Row = TypeVar("Row")


def load(where: Lazy) -> Any:
    """The function itself."""
    if not isinstance(where, str):
        return where
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


@contextmanager
def added(table: dict[str, Row], name: str, row: Row) -> Iterator[Row]:
    """One more row for as long as the context lasts.

    Raises:
        ValueError: there is a row of that name.
    """
    if name in table:
        raise ValueError(f"there is a row {name} already")
    table[name] = row
    try:
        yield row
    finally:
        del table[name]
