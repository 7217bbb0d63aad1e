"""How a server for several people is set up: one TOML file, checked whole before anything is served.

``KENVIZ_SERVER`` names the file, or is 1 for ``server.toml`` in the store's folder; such a file is taken without being
named, too, and ``KENVIZ_SERVER=0`` says that it is not meant. No secret stands in it: what is secret lies in a file of
its own, or in Streamlit's ``secrets.toml``.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from kencore.errors import SpecError
from kencore.settings.checks import check
from kencore.settings.fields import Declared, setting
from kencore.settings.json import JsonSettings
from kencore.system.places import home

SERVER: Final = "KENVIZ_SERVER"
FILE: Final = "server.toml"
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HOST: Final = re.compile(r"[a-z0-9._-]{1,253}|[0-9a-f:]{2,45}")
_NEVER: Final = ("host", "cookie", "origin", "authorization", "x-kenviz-user")  # say something else


def _each(what: str, checked: Callable[[str, Any], Any] | None = None, low: int = 0) -> Any:
    one = Declared(kind="text", default="", check=checked)
    return setting("several", (), each=one, low=low, help=what)


def _network(name: str, value: Any) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise _wrong(name, value, "an address or a network, such as 127.0.0.1 or 10.0.0.0/8") from None


def _host(name: str, value: Any) -> str:
    if isinstance(value, str) and _HOST.fullmatch(value.lower()):
        return value.lower()
    raise _wrong(name, value, "the name of a host, without scheme and port")


def _header(name: str, value: Any) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value) and value.lower() not in _NEVER:
        return value.lower()
    raise _wrong(name, value, "the name of a header that says who somebody is, such as X-Forwarded-User")


def _root(name: str, value: Any) -> str:
    """A folder that is there, apart from the store: else one person would read what is another's."""
    real = Path(os.path.realpath(str(value)))
    store = Path(os.path.realpath(home()))
    if not isinstance(value, str) or not Path(value).is_absolute() or not real.is_dir():
        raise _wrong(name, value, "the whole path of a folder that is there")
    if real.is_relative_to(store) or store.is_relative_to(real):
        raise _wrong(name, value, f"a folder apart from the store, {store}")
    return value


def _secret(name: str, value: Any) -> str:
    if isinstance(value, str) and Path(value).is_file():
        return value
    raise _wrong(name, value, "a file that holds the token")


def _wrong(name: str, value: Any, wanted: str) -> SpecError:
    return SpecError(f"{name} in {FILE}", got=repr(value)[:200], wanted=wanted, remedy="Correct the file.")


class _Part(JsonSettings):
    """Each setting is checked by itself."""

    __slots__ = ()
    remedy: ClassVar[str] = f"Say it in {FILE}."

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login(_Part):
    """How it is known who somebody is."""

    kind: str = setting("choice", choices=("proxy", "oidc"), help="A proxy's header, or a login of its own.")
    header: str = setting("text", "x-forwarded-user", check=_header, help="Of a proxy: the header with the name.")
    proxies: tuple[str, ...] = _each("Of a proxy: addresses that may set the header.", _network)
    claim: str = setting("text", "email", help="Of OIDC: the claim that is the name.")
    hosts: tuple[str, ...] = _each("Of OIDC: hosts that the web process has to ask.", _host)
    allowed: tuple[str, ...] = _each("Patterns of names that may come in; without one all who sign in.")

    def __post_init__(self) -> None:
        check(self)
        if self.kind == "proxy" and not self.proxies:
            raise _wrong("login.proxies", [], "the addresses of the proxies that may say who somebody is")
        if self.kind == "oidc" and not self.hosts:
            raise _wrong("login.hosts", [], "the hosts of the login, such as login.example.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files(_Part):
    """Which models and data may be used."""

    roots: tuple[str, ...] = _each("Folders that models and data may lie in.", _root)
    hub: tuple[str, ...] | None = setting(
        "several", None, each=Declared(kind="text", default=""), help="Patterns of hub ids; without it all."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Each(_Part):
    """What one person may have."""

    waiting: int | None = setting("count", 20, low=1, help="Jobs that wait at the same time.")
    running: int | None = setting("count", 2, low=1, help="Jobs that run at the same time.")
    minutes: float | None = setting("number", 600, low=0, help="Minutes of work in 24 hours.")
    gigabytes: float | None = setting("number", 50, low=0, help="Of runs in the store.")
    upload_megabytes: int = setting("count", 1, low=1, high=10_000, help="Of one file that is sent to the server.")
    message_megabytes: int = setting("count", 50, low=10, high=1000, help="Of one message to a browser.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched(_Part):
    """Who may read /metrics."""

    addresses: tuple[str, ...] = _each("Addresses or networks.", _network)
    token_file: str | None = setting("text", None, check=_secret, help="A file with a token, for others.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings(JsonSettings):
    """All of it; every part may be left out but ``hosts`` and ``login``.

    Args:
        hosts: names by which browsers call this server.
        audit: file of the record of actions; by default ``audit.jsonl`` in the store's folder.

    Raises:
        SpecError: something is missing, unknown or cannot be.
    """

    remedy: ClassVar[str] = f"Say it in {FILE}; docs/server.md has an example."

    hosts: tuple[str, ...]
    login: Login
    files: Files = field(default_factory=Files)
    each: Each = field(default_factory=Each)
    metrics: Watched = field(default_factory=Watched)
    audit: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.hosts, list | tuple) or not self.hosts:
            raise _wrong("hosts", self.hosts, "a list with the names by which browsers call this server")
        object.__setattr__(self, "hosts", tuple(_host("hosts", name) for name in self.hosts))
        if self.audit is not None and not (isinstance(self.audit, str) and Path(self.audit).is_absolute()):
            raise _wrong("audit", self.audit, "the whole path of a file")

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Settings from the content of the file. Raises as the class."""
        parts: dict[str, type[_Part]] = {"login": Login, "files": Files, "each": Each, "metrics": Watched}
        given: dict[str, Any] = {
            name: _part(name, parts[name], value) if name in parts else value for name, value in data.items()
        }
        known = {"hosts", "audit", *parts}
        if unknown := sorted(given.keys() - known):
            raise _wrong(", ".join(unknown), "an unknown name", f"names among {', '.join(sorted(known))}")
        if missing := sorted({"hosts", "login"} - given.keys()):
            raise SpecError(FILE, got=f"no {', no '.join(missing)}", wanted="hosts and [login]", remedy=cls.remedy)
        return cls(**given)

    @property
    def audit_file(self) -> Path:
        """Where the record of actions is."""
        return home() / "audit.jsonl" if self.audit is None else Path(self.audit)


def _part(name: str, kind: type[_Part], value: Any) -> _Part:
    try:
        return kind.from_dict(value)
    except SpecError as error:
        if error.subject.endswith(FILE):
            raise
        where = f"[{name}] {error.subject} in {FILE}"
        raise SpecError(where, got=error.got, wanted=error.wanted, remedy=error.remedy) from None


def load() -> ServerSettings | None:
    """The settings of the server that this process is; ``None``: it is no server for several people.

    Raises:
        SpecError: it is said to be one, and the file is missing or wrong.
    """
    said = os.environ.get(SERVER, "").strip()
    place = home() / FILE
    if said.lower() in ("0", "false", "no") or (not said and not place.is_file()):
        return None
    if said.lower() not in ("", "1", "true", "yes"):
        place = Path(said)
    try:
        data = tomllib.loads(place.read_text("utf-8"))
    except OSError as error:
        raise SpecError(
            str(place),
            got=(error.strerror or str(error)).lower(),
            wanted="the settings of the server",
            remedy="Write the file; docs/server.md has an example.",
        ) from None
    except ValueError as error:  # of TOML, or no UTF-8
        # not what stands there: it may be a secret at the wrong place
        raise SpecError(
            str(place), got=f"no TOML ({type(error).__name__})", wanted="TOML", remedy="Correct the file."
        ) from None
    return ServerSettings.from_dict(data)
