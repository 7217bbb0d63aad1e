"""The running server, asked by hand: what a foreign page, a rebound name and a plain visitor get."""

from __future__ import annotations

import base64
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.app.conftest import ROOT
from tests.browser.conftest import running

PATHS = ("/", "/explain", "/kenviz/atlas?run=demo", "/_stcore/host-config", "/static/js/x.js")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running(tmp_path_factory.mktemp("server"), ROOT / "assets") as url:
        yield urlsplit(url).port or 0


def ask(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        sent = {"Host": f"localhost:{port}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        connection.putrequest("GET", path, skip_host=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = b"" if answer.status == 101 else answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body
    finally:
        connection.close()


def connect(port: int, **headers: str) -> int:
    """The status of a WebSocket's handshake."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    return ask(port, "/_stcore/stream", **upgrade | headers)[0]


def test_a_rebound_name_gets_nothing(port: int) -> None:
    for path in PATHS:
        status, _, body = ask(port, path, Host=f"rebound.example:{port}")
        assert status == 403, path
        assert b"known by that name" in body
    assert connect(port, Host=f"rebound.example:{port}", Origin=f"http://rebound.example:{port}") == 403


def test_another_port_of_this_machine_gets_nothing(port: int) -> None:
    foreign = "http://localhost:3000"
    assert connect(port, Origin=foreign) == 403
    assert connect(port, Origin=f"http://localhost:{port}") == 101
    for path in PATHS:
        assert ask(port, path, Origin=foreign)[0] == 403, path
    assert ask(port, "/kenviz/atlas?run=demo", Sec_Fetch_Site="same-site", Sec_Fetch_Mode="no-cors")[0] == 403


def test_every_answer_says_what_a_browser_may_do(port: int) -> None:
    for path, status in (
        ("/", 200),
        ("/kenviz/atlas?run=demo", 200),
        ("/kenviz/atlas", 400),
        ("/kenviz/viewer/1/no.js", 404),
    ):
        found, headers, _ = ask(port, path)
        assert found == status, path
        policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
        assert policy["img-src"] == "'self' data: blob:"
        assert policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in policy["script-src"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert not any(name.startswith("access-control") for name in headers)


def test_it_does_not_listen_to_the_world_unasked() -> None:
    address = "0.0.0.0"
    own = ["-c", f"from app.command import main; main(['--no-browser', '--host', '{address}'])"]
    plain = ["-m", "streamlit", "run", "app/server.py", "--server.headless=true", f"--server.address={address}"]
    environment = {name: value for name, value in os.environ.items() if name != "KENVIZ_I_KNOW"}
    for words in (own, plain):
        ended = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode != 0
        assert "without a login" in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr
