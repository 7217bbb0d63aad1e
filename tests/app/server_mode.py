"""A server for several people as an admin sets one up, and two people who come through its proxy."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.app.conftest import ROOT
from tests.browser.conftest import running

HOST = "ken.example"
TOKEN = "a token of the monitor"


def write_settings(home: Path, roots: list[Path], **more: str) -> Path:
    """``server.toml`` in the store's folder: a proxy at 127.0.0.1, one root, a token for the monitor."""
    home.mkdir(parents=True, exist_ok=True)
    token = home / "token"
    token.write_text(TOKEN)
    parts = {
        "login": 'kind = "proxy"\nheader = "X-Forwarded-User"\nproxies = ["127.0.0.1"]\nallowed = ["*@example.org"]',
        "files": f"roots = {json.dumps([str(root) for root in roots])}\nhub = []",
        "each": "waiting = 1",
        "metrics": f"token_file = {json.dumps(str(token))}",
    } | more
    text = f'hosts = ["{HOST}"]\n' + "".join(f"[{name}]\n{lines}\n" for name, lines in parts.items())
    path = home / "server.toml"
    path.write_text(text)
    return path


def put_run(home: Path, sample: Path, name: str, owner: str | None, *, shared: bool = False) -> Path:
    """A copy of a run in a store, of that person."""
    folder = home / "runs" / name
    shutil.copytree(sample, folder)
    record = json.loads((folder / "record.json").read_text())
    if owner is not None:
        (folder / "record.json").write_text(json.dumps(record | {"owner": owner}))
    (folder / "label.json").write_text(json.dumps({"name": f"called {name}", "tags": [], "shared": shared}))
    return folder


@contextmanager
def serving(home: Path) -> Iterator[int]:
    """The server on its port."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORWARDED_ALLOW_IPS", "")
        patch.setenv("KENVIZ_SERVER", "1")
        with running(home, ROOT / "assets") as url:
            yield urlsplit(url).port or 0


def ask(
    port: int, path: str, user: str | None = None, *, source: str = "127.0.0.1", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request from ``source``, as the proxy sends it for ``user``."""
    sent = {"Host": HOST} | ({} if user is None else {"X-Forwarded-User": user})
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(source, 0))
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in sent.items():
            connection.putheader(name, value.encode())
        connection.endheaders()
        answer = connection.getresponse()
        body = b"" if answer.status == 101 else answer.read()
        told: dict[str, str] = {}
        for name, value in answer.getheaders():  # one that is there twice: in lines
            told[name.lower()] = "\n".join(filter(None, (told.get(name.lower()), value)))
        return answer.status, told, body
    finally:
        connection.close()


def page(port: int, user: str, address: str = "runs", query: str = "", session: str | None = None) -> str:
    """All that a page sends to the browser of ``user``, over its WebSocket, as one text."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    asked = BackMsg()
    asked.rerun_script.query_string = query
    asked.rerun_script.page_name = address
    told: list[str] = []
    protocols: list[Any] = ["streamlit", "x", session] if session else ["streamlit"]
    with connect(
        f"ws://{HOST}/_stcore/stream",
        sock=socket.create_connection(("127.0.0.1", port)),
        additional_headers={"X-Forwarded-User": user},
        subprotocols=protocols,
        max_size=None,
    ) as pipe:
        pipe.send(asked.SerializeToString())
        while True:
            message = ForwardMsg()
            message.ParseFromString(pipe.recv(timeout=60))
            told.append(str(message))
            if message.WhichOneof("type") == "script_finished":
                return "\n".join(told)
