"""Who asks, and whose what is.

On a machine of one's own nobody asks: all that is in the store is everybody's. A server that several people use says
how to find out who is looking (`ask_by`), and a worker for whom it works (`work_for`). From then on the store keeps
people apart, in one place for pages, data and jobs: `kencore.runs.shelf`, `kencore.sweeps.shelf` and `kencore.jobs`
ask here.

Owners are names, as a login gives them. What has none (made on the command line, or shipped) is shown to everybody
and changed by nobody but who has the store itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

LOCAL: Final = "local"
"""Whose jobs are where nobody is asked for a name."""
NOBODY: Final = ""
"""Who looks where people are told apart and this one has not said a name; also the owner of what cannot be read."""

_ask: Callable[[], str] | None = None
_tell: Callable[[str, dict[str, Any]], None] | None = None
_works_for: str | None = None


def ask_by(ask: Callable[[], str] | None) -> None:
    """From now on `viewer` is what ``ask`` says, `NOBODY` included; ``None``: nobody is asked any more."""
    global _ask
    _ask = ask


def tell_by(tell: Callable[[str, dict[str, Any]], None] | None) -> None:
    """From now on every action is told to ``tell``: what was done, and of what."""
    global _tell
    _tell = tell


def work_for(user: str) -> None:
    """From now on this process sees, and may do, what ``user`` may; the user `LOCAL` may all."""
    global _works_for
    _works_for = None if user == LOCAL else user


def viewer() -> str | None:
    """Who looks; ``None`` where people are not told apart."""
    return _works_for if _ask is None else _ask()


def owner() -> str | None:
    """Whose that is which is made now; ``None``: everybody's."""
    return viewer() or None


def may_see(of: str | None, *, shared: bool = False) -> bool:
    """Whether who looks may see what belongs to ``of``, or was shared by them."""
    who = viewer()
    return who is None or of is None or (of != NOBODY and (of == who or (shared and who != NOBODY)))


def may_change(of: str | None) -> bool:
    """Whether who looks may change or delete what belongs to ``of``."""
    who = viewer()
    return who is None or (who != NOBODY and of == who)


def tell(action: str, **facts: Any) -> None:
    """An action that is about to be done, for the record of a server. Raises what its teller raises: what cannot be
    written down is not done.
    """
    if _tell is not None:
        _tell(action, facts)
