"""Whether a request may come in: the name that it calls us by, the page that sent it, where it comes from.

A page of somebody else in the same browser can send requests to this machine: to another port of ``localhost``, or
to a name of its own that it lets point here (DNS rebinding). Both say so in their headers, which no page can change.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import Scope

Mode = Literal["local", "open", "server"]
LOCAL: Final = ("localhost", "127.0.0.1", "::1")
HEALTH: Final = ("/healthz", "/_stcore/health")  # say nothing but that we live
SHUT: Final = ("/_stcore/agent/", "/_stcore/upload_file/")  # the app takes no files: nothing is held for anybody
_HOST: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{1,5})?")
_FRAMES: Final = ("iframe", "frame", "embed", "object")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request may not come in: an HTTP status, a word for counts, a sentence for people."""

    status: int
    why: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """The rules.

    Args:
        mode: ``local``: for people on this machine; ``open``: for whoever reaches it, on the word of who started it;
            ``server``: for people who sign in, by the names of ``hosts``.
        hosts: names that a request may call us by, beside those of this machine.
        base: path below which the app is served, such as ``/kenviz``.
        frames: sites whose pages may frame the app.
    """

    mode: Mode = "local"
    hosts: tuple[str, ...] = ()
    base: str = ""
    frames: tuple[str, ...] = ()

    def refuse(self, scope: Scope, *, digits: bool = False) -> Refusal | None:
        """Why the request of an ASGI scope may not come in; ``None``: it may.

        Args:
            digits: an address in place of a name will do: nobody can let digits point elsewhere.
        """
        path = self.path(scope)
        if path.startswith(SHUT):
            return Refusal(404, "path", "There is nothing here.")
        if self.mode == "server" and path.startswith("/_stcore/metrics"):
            return Refusal(404, "path", "There is nothing here.")  # of Streamlit, for whoever asks
        if path in HEALTH and scope["type"] == "http":
            return None
        if self.mode == "local" and not _from_here(scope):
            return Refusal(403, "address", "This app answers its own machine alone.")
        if every(scope, b"transfer-encoding") and every(scope, b"content-length"):
            return Refusal(400, "length", "That says twice how long it is.")  # where it ends others see otherwise
        host = the_only(scope, b"host")
        if host is None or not self.knows(host, digits=digits):
            return Refusal(403, "host", "This app is not known by that name.")
        origin = every(scope, b"origin")
        if origin and (len(origin) > 1 or not _same_site(origin[0], host)):
            return Refusal(403, "origin", "That came from a page of another site.")
        if self._sent_by_another_page(scope, path):
            return Refusal(403, "site", "That came from a page of another site.")
        return None

    def path(self, scope: Scope) -> str:
        """The path of a request without the base path."""
        path = str(scope["path"])
        base = self.base.rstrip("/")
        return path[len(base) :] if base and path.startswith(base + "/") else path

    def knows(self, host: str, *, digits: bool = False) -> bool:
        """Whether the text of a ``Host`` header names this app. The port is not looked at: it may be forwarded."""
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found["six"] or found["name"]).lower().rstrip(".")
        if name in LOCAL or name in self.hosts:
            return True
        # digits are no name that anybody could let point here
        if _is_address(name):
            return digits or self.mode == "open"
        return self.mode == "open" and name == socket.gethostname().lower()

    def _sent_by_another_page(self, scope: Scope, path: str) -> bool:
        """By what browsers say of each request (``Sec-Fetch-*``): a link to a page of ours is fine, the rest is not."""
        if the_only(scope, b"sec-fetch-site") not in ("cross-site", "same-site"):
            return False
        kind = the_only(scope, b"sec-fetch-dest")
        seen = kind == "document" or (kind in _FRAMES and bool(self.frames))
        followed = scope.get("method") == "GET" and the_only(scope, b"sec-fetch-mode") == "navigate" and seen
        return not followed or path.startswith("/kenviz/")


def is_open(address: str | None) -> bool:
    """Whether a server that listens there can be reached from other machines; ``None``: nobody knows where it does, so
    that the door itself looks at the sender.
    """
    if address is None:
        return False
    text = address.strip().strip("[]").lower()
    return not text.startswith("unix:") and text not in LOCAL and not (_is_address(text) and _loopback(text))


def every(scope: Scope, name: bytes) -> list[str]:
    """The values of a header, each time that it is there."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def the_only(scope: Scope, name: bytes) -> str | None:
    """The value of a header that is there once; ``None`` where it is missing or there twice."""
    found = every(scope, name)
    return found[0].strip() if len(found) == 1 else None


def inside(address: str | None, networks: Iterable[str]) -> bool:
    """Whether an address is one of, or in one of the networks."""
    if address is None or not _is_address(address):
        return False
    found = ipaddress.ip_address(address)
    four = getattr(found, "ipv4_mapped", None)
    return any((four or found) in ipaddress.ip_network(network, strict=False) for network in networks)


def client(scope: Scope) -> str | None:
    """The address of who sent a request; ``None`` behind a socket of the file system."""
    found = scope.get("client")
    return None if found is None else str(found[0])


def _from_here(scope: Scope) -> bool:
    address = client(scope)
    return address is None or (_is_address(address) and _loopback(address))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _loopback(text: str) -> bool:
    found = ipaddress.ip_address(text)
    four = getattr(found, "ipv4_mapped", None)
    return bool((four or found).is_loopback)


def _same_site(origin: str, host: str) -> bool:
    try:
        found = urlsplit(origin.strip())
    except ValueError:
        return False
    return found.scheme in ("http", "https") and found.netloc.lower() == host.lower()
