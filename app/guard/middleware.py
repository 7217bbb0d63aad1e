"""What every request passes, Streamlit's own and those of its WebSocket included."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from app.guard.headers import security_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.guard.door import Door, Refusal

_NOT_OURS: Final = (b"access-control-",)  # no page of another site reads anything here


class Guard:
    """Lets a request in or refuses it, and adds the headers of `app.guard.headers` to each answer."""

    def __init__(self, app: ASGIApp, *, door: Door, check: Callable[[Scope], Refusal | None] | None = None) -> None:
        self._app, self._door, self._check = app, door, check
        self._added = [(name.lower().encode(), value.encode()) for name, value in security_headers(door.frames).items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, by the rules of ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._door.refuse(scope) or (self._check(scope) if self._check else None)
        if refusal is not None:
            await self._refuse(scope, receive, send, refusal)
            return

        async def guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message = {**message, "headers": self._headers(message.get("headers", ()))}
            await send(message)

        await self._app(scope, receive, guarded)

    def _headers(self, given: object) -> list[tuple[bytes, bytes]]:
        own = {name for name, _ in self._added}
        kept = [
            (name, value)
            for name, value in given  # type: ignore[attr-defined]
            if name.lower() not in own and not name.lower().startswith(_NOT_OURS)
        ]
        return kept + self._added

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.why})
            return
        body = json.dumps({"message": refusal.said}).encode()
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
        headers += [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": refusal.status, "headers": self._headers(headers)})
        await send({"type": "http.response.body", "body": body})
