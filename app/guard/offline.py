"""The web process touches no network: models and data are fetched by jobs alone."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any, Final

from app.guard.door import LOCAL
from kencore.checkpoint.hub import stay_offline

_OPEN: Final[set[str]] = set()
_closed = False


def close(*login: str) -> None:
    """From now on this process connects to this machine alone. It cannot be undone.

    Args:
        login: names of hosts that a login by OIDC has to ask.
    """
    global _closed
    stay_offline()
    _OPEN.update(name.lower() for name in login)
    if not _closed:
        _closed = True
        sys.addaudithook(_hook)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not event.startswith("socket."):
        return
    if event == "socket.getaddrinfo" and args[0] is not None and not _near(args[0]):
        raise PermissionError(f"the web process asks for no address of other machines ({args[0]!r})")
    # names of a login were asked for above; what they turned out to be is not known here
    if event == "socket.connect" and isinstance(args[1], tuple) and not (_OPEN or _near(args[1][0])):
        raise PermissionError(f"the web process connects to no other machine ({args[1][0]!r})")


def _near(host: Any) -> bool:
    name = (host.decode("latin-1") if isinstance(host, bytes) else str(host)).lower()
    if name in LOCAL or name in _OPEN or name == "":
        return True
    try:
        found = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return False
    return found.is_loopback or found.is_unspecified
