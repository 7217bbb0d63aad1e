"""How this app is started: for its own machine, or open on somebody's word."""

from __future__ import annotations

import os
from typing import Final

from app.guard.door import Door, is_open
from kencore.errors import SpecError

I_KNOW: Final = "KENVIZ_I_KNOW"
HOSTS: Final = "KENVIZ_HOSTS"


def door(base: str = "") -> Door:
    """The rules by which requests come in, from the environment."""
    hosts = tuple(name.strip().lower() for name in os.environ.get(HOSTS, "").split(",") if name.strip())
    return Door(mode="open" if knows() else "local", hosts=hosts, base=base)


def knows() -> bool:
    """Whether the person who started it said that anybody may use it."""
    return os.environ.get(I_KNOW, "").strip().lower() in ("1", "true", "yes")


def check_address(address: str | None) -> None:
    """Refuse to listen where other machines reach an app that asks nobody who they are.

    Raises:
        SpecError: they do.
    """
    if is_open(address) and not knows():
        raise SpecError(
            "address to serve on",
            got=f"{address or 'all of them'}, without a login",
            wanted="localhost",
            remedy="The app has no login of its own. If everybody who reaches this port may use it, delete its runs "
            f"and read files of this account, say --i-know or {I_KNOW}=1.",
        )
