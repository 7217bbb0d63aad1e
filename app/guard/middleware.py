"""What every request passes, Streamlit's own and those of its WebSocket included."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from app.guard import login, metrics, visitor
from app.guard.door import HEALTH, Refusal, client
from app.guard.headers import security_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.guard.audit import Audit
    from app.guard.door import Door
    from app.guard.metrics import Meter
    from app.guard.settings import ServerSettings

_NOT_OURS: Final = (b"access-control-",)  # no page of another site reads anything here


class Guard:
    """Lets a request in or refuses it, and adds the headers of `app.guard.headers` to each answer.

    Args:
        door: which requests come in at all.
        settings, audit: of a server for several people: who they are, and where it is written who was refused.
        meter: counts requests and refusals.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        door: Door,
        meter: Meter,
        settings: ServerSettings | None = None,
        audit: Audit | None = None,
    ) -> None:
        self._app, self._door, self._settings, self._audit, self._meter = app, door, settings, audit, meter
        self._added = [(name.lower().encode(), value.encode()) for name, value in security_headers(door.frames).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, by the rules of ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        found = self._judged(scope)
        if isinstance(found, Refusal):
            await self._refuse(scope, receive, send, found)
            return

        async def guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message = {**message, "headers": self._headers(message.get("headers", ()))}
                self._meter.count("requests", f"{int(message['status']) // 100}xx")
            await send(message)

        await self._app(found, receive, guarded)

    def _judged(self, scope: Scope) -> Scope | Refusal:
        """The request as it goes on, or why it does not."""
        asked, path = self._settings, self._door.path(scope)
        if asked is not None and path == metrics.PATH and scope["type"] == "http":
            if (refusal := self._door.refuse(scope, digits=True)) is not None:
                return refusal
            allowed = metrics.may_read(asked.metrics, scope)
            return visitor.enter(scope, None) if allowed else Refusal(404, "metrics", "There is nothing here.")
        refusal = self._door.refuse(scope)
        if refusal is not None:
            return refusal
        if asked is None:
            return scope
        dropped = (asked.login.header,)
        own = asked.login.kind == "oidc" and path in login.OWN
        if scope["type"] == "http" and (path in HEALTH or own):
            return visitor.enter(scope, None, dropped=dropped)
        name = login.who(asked.login, scope)
        return name if isinstance(name, Refusal) else visitor.enter(scope, name, dropped=dropped)

    def _headers(self, given: object) -> list[tuple[bytes, bytes]]:
        own = {name for name, _ in self._added}
        kept = [
            (name, value)
            for name, value in given  # type: ignore[attr-defined]
            if name.lower() not in own and not name.lower().startswith(_NOT_OURS)
        ]
        return kept + self._added

    def _note(self, scope: Scope, refusal: Refusal) -> None:
        """Count a refusal, and write down one of a login. Who only has to sign in yet is no line."""
        self._meter.count("refusals", refusal.why)
        if self._audit is not None and refusal.status == 403:
            self._audit.refused(client(scope), refusal.why)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
        self._note(scope, refusal)
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.why})
            return
        oidc = self._settings is not None and self._settings.login.kind == "oidc"
        if oidc and refusal.status == 401 and (place := login.redirect(scope)) is not None:
            sent = [(b"location", place.encode("latin-1")), (b"cache-control", b"no-store"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 302, "headers": self._headers(sent)})
            await send({"type": "http.response.body", "body": b""})
            return
        body = json.dumps({"message": refusal.said}).encode()
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        headers += [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": refusal.status, "headers": self._headers(headers)})
        await send({"type": "http.response.body", "body": body})
