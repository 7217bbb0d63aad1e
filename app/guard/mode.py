"""How this app is started: for its own machine, open on somebody's word, or for several people who sign in."""

from __future__ import annotations

import json
import os
from typing import Final

from app.guard import login, visitor
from app.guard.audit import Audit
from app.guard.door import Door, is_open
from app.guard.settings import FILE, SERVER, ServerSettings, load
from kencore.errors import SpecError
from kencore.jobs.limits import PREFIX
from kencore.system import people, roots

I_KNOW: Final = "KENVIZ_I_KNOW"
HOSTS: Final = "KENVIZ_HOSTS"
FORWARDED: Final = "FORWARDED_ALLOW_IPS"


def door(base: str = "", settings: ServerSettings | None = None) -> Door:
    """The rules by which requests come in, from the settings of a server or the environment."""
    if settings is not None:
        return Door(mode="server", hosts=settings.hosts, base=base)
    hosts = tuple(name.strip().lower() for name in os.environ.get(HOSTS, "").split(",") if name.strip())
    return Door(mode="open" if knows() else "local", hosts=hosts, base=base)


def knows() -> bool:
    """Whether the person who started it said that anybody may use it."""
    return os.environ.get(I_KNOW, "").strip().lower() in ("1", "true", "yes")


def check_address(address: str | None) -> None:
    """Refuse to listen where other machines reach an app that asks nobody who they are.

    Raises:
        SpecError: they do, or the settings of a server are wrong.
    """
    if load() is None and is_open(address) and not knows():
        raise SpecError(
            "address to serve on",
            got=f"{address or 'all of them'}, without a login",
            wanted="localhost",
            remedy=f"For several people who sign in, write {FILE} and set {SERVER}=1 (docs/server.md). If everybody "
            f"who reaches this port may use it, delete its runs and read files of this account, say --i-know or "
            f"{I_KNOW}=1.",
        )


def tell_workers(settings: ServerSettings) -> None:
    """Put what workers hold to into the environment, which they inherit."""
    os.environ[roots.ROOTS] = json.dumps(settings.files.roots)
    if settings.files.hub is not None:
        os.environ[roots.HUBS] = json.dumps(settings.files.hub)
    for name in ("waiting", "running", "minutes", "gigabytes"):
        value = getattr(settings.each, name)
        os.environ[PREFIX + name.upper()] = "" if value is None else str(value)


def serve(settings: ServerSettings) -> Audit:
    """Make this process a server for several people; returns its record of actions. It cannot be undone.

    Raises:
        SpecError: it was started so that a proxy's address can be forged, or Streamlit's secrets lack something.
        MissingExtraError: a login by OIDC without what it needs.
        StoreNotWritableError: the record of actions cannot be written.
    """
    from streamlit import config

    if os.environ.get(FORWARDED) != "":
        raise SpecError(
            FORWARDED,
            got="not set" if FORWARDED not in os.environ else "addresses",
            wanted="it set to nothing: else a header says where a request comes from",
            remedy="Start the server with the command kenviz, which sets it.",
        )
    if settings.login.kind == "oidc":
        login.check_oidc()
    audit = Audit(settings.audit_file)
    tell_workers(settings)
    people.ask_by(visitor.viewer)
    people.tell_by(audit)
    config.set_option("server.trustedUserHeaders", {visitor.HEADER: visitor.KEY})
    config.set_option("server.maxUploadSize", settings.each.upload_megabytes)
    config.set_option("server.maxMessageSize", settings.each.message_megabytes)
    return audit
