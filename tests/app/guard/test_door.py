"""Which requests come in: every header that a foreign page or a foreign machine could send."""

from __future__ import annotations

from typing import Any

import pytest

from app.guard import mode
from app.guard.door import Door, is_open
from kencore.errors import SpecError

NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def scope(
    *,
    path: str = "/",
    host: str | None = "localhost:8501",
    client: str = "127.0.0.1",
    kind: str = "http",
    **headers: str,
) -> dict[str, Any]:
    sent = {} if host is None else {"host": host}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "type": kind,
        "method": "GET",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        "client": (client, 1234),
    }


def why(asked: dict[str, Any], door: Door | None = None) -> str | None:
    found = (door or Door()).refuse(asked)
    return None if found is None else found.why


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("path", ["/", "/explain", "/kenviz/window", "/_stcore/stream", "/media/a.png"])
@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:8501", True),
        ("LOCALHOST", True),
        ("localhost.:8501", True),
        ("127.0.0.1:9999", True),
        ("[::1]:8501", True),
        ("rebound.example:8501", False),
        ("localhost.rebound.example", False),
        ("127.0.0.1.rebound.example", False),
        ("localhost@rebound.example", False),
        ("rebound.example#localhost", False),
        ("192.168.1.5:8501", False),
        ("localhost:8501, rebound.example", False),
        ("", False),
        (None, False),
    ],
)
def test_a_name_that_is_not_ours_gets_nothing(kind: str, path: str, host: str | None, known: bool) -> None:
    assert why(scope(kind=kind, path=path, host=host)) == (None if known else "host")


def test_files_are_taken_of_nobody() -> None:
    for kind in ("local", "open", "server"):
        refused = Door(mode=kind).refuse(scope(path="/_stcore/upload_file/session/file"))
        assert refused is not None
        assert refused.status == 404


def test_two_hosts_are_none() -> None:
    asked = scope()
    asked["headers"].append((b"host", b"localhost:8501"))
    assert why(asked) == "host"


def test_a_request_that_says_twice_how_long_it_is_gets_nothing() -> None:
    """One that a proxy lets through as a whole could hold another, of somebody else, for this server."""
    chunked, counted = {"transfer_encoding": "chunked"}, {"content_length": "5"}
    assert why(scope(**chunked, **counted)) == "length"
    assert why(scope(**chunked)) is None
    assert why(scope(**counted)) is None


@pytest.mark.parametrize(
    ("origin", "fine"),
    [
        ("http://localhost:8501", True),
        ("https://localhost:8501", True),
        ("http://localhost:3000", False),
        ("http://localhost", False),
        ("http://127.0.0.1:8501", False),
        ("https://evil.example", False),
        ("null", False),
        ("file://localhost:8501", False),
        ("http://[", False),
    ],
)
def test_another_port_is_another_site(origin: str, fine: bool) -> None:
    for kind in ("http", "websocket"):
        assert why(scope(kind=kind, path="/_stcore/stream", origin=origin)) == (None if fine else "origin")


def test_a_foreign_page_may_link_to_a_page_and_nothing_else() -> None:
    for site in ("cross-site", "same-site"):
        sent = {"sec-fetch-site": site} | NAVIGATION
        assert why(scope(path="/explain", **sent)) is None
        assert why(scope(path="/kenviz/export", **sent)) == "site"
        assert why(scope(path="/explain", **sent | {"sec-fetch-dest": "iframe"})) == "site"
        assert (
            why(scope(path="/media/a.png", **sent | {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"})) == "site"
        )
        assert why(scope(path="/explain", **sent) | {"method": "POST"}) == "site"
    framed = {"sec-fetch-site": "cross-site"} | NAVIGATION | {"sec-fetch-dest": "iframe"}
    assert why(scope(path="/explain", **framed), Door(frames=("https://wiki.example",))) is None
    for site in ("same-origin", "none"):
        assert why(scope(path="/kenviz/export", **{"sec-fetch-site": site})) is None


def test_by_itself_the_app_answers_its_own_machine_alone() -> None:
    for client, fine in (
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.7", False),
        ("x", False),
    ):
        assert why(scope(client=client)) == (None if fine else "address")
    opened = Door(mode="open", hosts=("lab.example",))
    assert why(scope(client="10.0.0.7", host="192.168.1.5:8501"), opened) is None
    assert why(scope(client="10.0.0.7", host="lab.example"), opened) is None
    assert why(scope(client="10.0.0.7", host="rebound.example"), opened) == "host"


def test_health_is_said_to_whoever_asks() -> None:
    assert why(scope(path="/_stcore/health", host="10.1.2.3:8501", client="10.0.0.7")) is None
    assert why(scope(path="/healthz", host="10.1.2.3:8501", client="10.0.0.7")) is None
    assert why(scope(path="/_stcore/agent/interact")) == "path"


def test_a_base_path_does_not_hide_the_data() -> None:
    sent = {"sec-fetch-site": "cross-site"} | NAVIGATION
    below = Door(base="/ken")
    assert why(scope(path="/ken/kenviz/export", **sent), below) == "site"
    assert why(scope(path="/ken/_stcore/agent/mcp"), below) == "path"
    assert why(scope(path="/ken/_stcore/health", host="10.1.2.3", client="10.0.0.7"), below) is None


@pytest.mark.parametrize(
    ("address", "opened"),
    [
        ("localhost", False),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("::1", False),
        ("unix:///run/ken.sock", False),
        ("0.0.0.0", True),
        ("::", True),
        ("", True),
        (None, False),
        ("10.0.0.5", True),
        ("lab.example", True),
    ],
)
def test_nobody_listens_to_the_world_unasked(
    address: str | None, opened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_open(address) == opened
    monkeypatch.delenv(mode.I_KNOW, raising=False)
    if opened:
        with pytest.raises(SpecError, match="--i-know"):
            mode.check_address(address)
    monkeypatch.setenv(mode.I_KNOW, "1")
    mode.check_address(address)
    assert mode.door().mode == "open"
