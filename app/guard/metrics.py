"""What a monitor reads: whether the app lives, and counts in the text format of Prometheus. No names, no ids."""

from __future__ import annotations

import hmac
import os
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.guard.door import client, inside, the_only
from kencore._version import __version__
from kencore.errors import KencoreError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

    from app.guard.settings import Watched

PATH: Final = "/metrics"
TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STATES: Final = ("queued", "running", "succeeded", "failed", "cancelled")


class Meter:
    """Counts of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, name: str, word: str) -> None:
        """One more of ``name`` (requests, refusals) of that kind."""
        with self._lock:
            self._counts[name, word] += 1

    def text(self) -> str:
        """All that is told, in Prometheus' format."""
        with self._lock:
            counts = dict(self._counts)
        lines = _family("kenviz_info", "gauge", "The version that runs.", {f'version="{__version__}"': 1})
        for name, label, said in (
            ("requests", "status", "Answers by the first digit of their status."),
            ("refusals", "why", "Requests that were not let in."),
        ):
            of_it = {f'{label}="{word}"': value for (kind, word), value in sorted(counts.items()) if kind == name}
            lines += _family(f"kenviz_{name}_total", "counter", said, of_it)
        lines += _family("kenviz_jobs", "gauge", "Jobs of the store by state.", _jobs())
        lines += _family("kenviz_resident_bytes", "gauge", "Memory of the web process.", {"": _resident()})
        return "\n".join(lines) + "\n"


def routes(base: str, meter: Meter) -> list[Route]:
    """``/healthz`` and ``/metrics``. Who may read them the door decides."""

    def healthy(_request: Request) -> Response:
        return PlainTextResponse("ok", headers={"Cache-Control": "no-store"})

    def metrics(_request: Request) -> Response:
        return Response(meter.text(), media_type=TYPE, headers={"Cache-Control": "no-store"})

    root = f"/{base.strip('/')}" if base.strip("/") else ""
    return [
        Route(f"{root}/healthz", healthy, methods=["GET", "HEAD"]),
        Route(f"{root}{PATH}", metrics, methods=["GET"]),
    ]


def may_read(watched: Watched, scope: Scope) -> bool:
    """Whether the sender of a request may read the counts: by address, or by a token."""
    if inside(client(scope), watched.addresses):
        return True
    if watched.token_file is None:
        return False
    try:
        token = Path(watched.token_file).read_bytes().strip()
    except OSError:
        return False
    said = (the_only(scope, b"authorization") or "").encode("latin-1")
    return bool(token) and hmac.compare_digest(said, b"Bearer " + token)


def _family(name: str, kind: str, said: str, values: Mapping[str, float]) -> list[str]:
    lines = [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]
    return lines + [f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in values.items()]


def _jobs() -> dict[str, float]:
    from kencore.jobs.store.database import connected
    from kencore.jobs.store.queries import count_by_state

    try:
        with connected() as connection:
            found = count_by_state(connection)
    except (FileNotFoundError, KencoreError):
        found = {}
    return {f'state="{state}"': found.get(state, 0) for state in STATES}


def _resident() -> int:
    import psutil

    return int(psutil.Process(os.getpid()).memory_info().rss)
