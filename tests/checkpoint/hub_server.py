"""The hub, answered from memory below huggingface_hub's own HTTP client."""

from __future__ import annotations

import hashlib
import re

import httpx2
from huggingface_hub.errors import OfflineModeIsEnabled

NO_NETWORK = httpx2.ConnectError("[Errno -3] Temporary failure in name resolution")
# raised by huggingface_hub's own client, which the test's client stands in for
OFFLINE = OfflineModeIsEnabled("Cannot reach the hub: offline mode is enabled.")
SHA = "0123456789abcdef0123456789abcdef01234567"


class Server:
    """Answers what huggingface_hub asks for one repository, ``org/name`` on ``main``.

    Set ``down`` to an error to raise it instead, or ``refusal`` to the (status, error code) of
    every answer.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.fetched: list[str] = []
        self.down: Exception | None = None
        self.refusal: tuple[int, str] | None = None

    def client(self) -> httpx2.Client:
        """For ``huggingface_hub.set_client_factory``."""
        return httpx2.Client(transport=httpx2.MockTransport(self._answer), follow_redirects=True)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.down:
            raise self.down
        if self.refusal:
            status, code = self.refusal
            return httpx2.Response(status, headers={"X-Error-Code": code})
        path = request.url.path
        if not re.match(r"/(api/models/)?org/name(/|$)", path):
            return httpx2.Response(404, headers={"X-Error-Code": "RepoNotFound"})
        if "/resolve/" in path:
            return self._file(request, path.split(f"/resolve/{SHA}/", 1)[1])
        if f"/tree/{SHA}" in path:
            return httpx2.Response(200, json=[self._line(name) for name in self.files])
        if "/revision/" in path and path.rsplit("/", 1)[1] not in ("main", SHA):
            return httpx2.Response(404, headers={"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": name} for name in self.files]
        return httpx2.Response(200, json={"id": "org/name", "sha": SHA, "siblings": siblings})

    def _line(self, name: str) -> dict[str, object]:
        return {
            "type": "file",
            "path": name,
            "size": len(self.files[name]),
            "oid": hashlib.sha1(self.files[name], usedforsecurity=False).hexdigest(),
        }

    def _file(self, request: httpx2.Request, name: str) -> httpx2.Response:
        content = self.files[name]
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": SHA,
            "Content-Length": str(len(content)),
        }
        if request.method == "HEAD":
            return httpx2.Response(200, headers=headers)
        self.fetched.append(name)
        return httpx2.Response(200, headers=headers, content=content)
