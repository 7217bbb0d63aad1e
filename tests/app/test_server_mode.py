"""A server for several people, asked by hand through its proxy: what each gets, and what a stranger gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kencore.jobs.store import changes
from kencore.jobs.store.database import connected
from tests.app.server_mode import HOST, TOKEN, ask, page, put_run, serving, write_settings
from tests.app.test_server import PATHS

ANN, BEN = "ann@example.org", "ben@example.org"


@dataclass(frozen=True)
class Served:
    port: int
    home: Path
    jobs: dict[str, str]

    def audit(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.home / "audit.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Served]:
    home, root = tmp_path_factory.mktemp("served"), tmp_path_factory.mktemp("models")
    write_settings(home, [root])
    for name, owner, shared in (("anns", ANN, False), ("bens", BEN, False), ("lent", BEN, True), ("all", None, False)):
        put_run(home, sample, name, owner, shared=shared)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KENVIZ_HOME", str(home))
        jobs = {user: _finished_export(home, user) for user in (ANN, BEN)}
    with serving(home) as port:
        yield Served(port, home, jobs)


def _finished_export(home: Path, user: str) -> str:
    """A finished export of a person, with a file to fetch."""
    with connected(make=True) as connection:
        job = changes.add(connection, kind="export", params="{}", user=user, gpus=0, request_key=None, folder="/")
        attempt = changes.claim(connection, job)
        assert attempt is not None
        changes.settle(connection, job, attempt, "succeeded")
    folder = home / "results" / job
    folder.mkdir(parents=True)
    (folder / "made.bin").write_bytes(f"made for {user}".encode())
    (folder / "result.json").write_text(json.dumps({"form": "masks", "file": "made.bin"}))
    return job


def test_without_a_name_nothing_is_shown(served: Served) -> None:
    for path in PATHS:
        assert ask(served.port, path)[0] == 401, path
        assert ask(served.port, path, ANN)[0] in (200, 404), path
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    upgrade |= {"Sec_WebSocket_Key": "MDEyMzQ1Njc4OWFiY2RlZg=="}
    assert ask(served.port, "/_stcore/stream", **upgrade)[0] == 403
    assert ask(served.port, "/_stcore/stream", ANN, **upgrade)[0] == 101


def test_a_forged_header_gets_nothing(served: Served) -> None:
    for path in PATHS:
        status, _, body = ask(served.port, path, ANN, source="127.0.0.2")
        assert (status, b"through its login alone" in body) == (403, True), path
        # nor does who says that they come from the proxy
        assert ask(served.port, path, ANN, source="127.0.0.2", X_Forwarded_For="127.0.0.1")[0] == 403
    assert ask(served.port, "/", None, X_Kenviz_User=ANN)[0] == 401
    assert ask(served.port, "/", f"{BEN}, {ANN}")[0] == 401
    assert ask(served.port, "/", "eve@elsewhere.example")[0] == 403
    assert ask(served.port, "/", "")[0] == 401
    assert ask(served.port, "/", ANN, Host="rebound.example")[0] == 403
    refused = [line for line in served.audit() if line["action"] == "login refused"]
    assert {"address": "127.0.0.2", "why": "proxy"}.items() <= refused[0].items()
    assert any(line["why"] == "not allowed" for line in refused)


def test_each_reads_what_is_theirs_and_what_is_shared(served: Served) -> None:
    for user, other, own in ((ANN, "bens", "anns"), (BEN, "anns", "bens")):
        for run, status in ((own, 200), ("lent", 200), ("all", 200), ("demo", 200), (other, 404), ("nothing", 404)):
            found, _, body = ask(served.port, f"/kenviz/atlas?run={run}", user)
            assert found == status, (user, run)
            if status == 404:  # the same words, whether there is one or not
                assert json.loads(body)["got"] == "no such run in the store"
        assert ask(served.port, f"/kenviz/window?run={own}&other={other}&matrix=x", user)[0] == 404
        assert ask(served.port, "/kenviz/atlas?run=../runs/all", user)[0] == 404


def test_an_export_is_fetched_by_who_made_it(served: Served) -> None:
    for user, job in served.jobs.items():
        status, _, body = ask(served.port, f"/kenviz/export?job={job}", user)
        assert (status, body) == (200, f"made for {user}".encode())
    assert ask(served.port, f"/kenviz/export?job={served.jobs[BEN]}", ANN)[0] == 404
    wanted = {"who": ANN, "action": "download", "what": "export", "job": served.jobs[ANN]}
    assert any(wanted.items() <= line.items() for line in served.audit())


def test_a_page_is_of_who_opened_it(served: Served) -> None:
    shown = page(served.port, ANN)
    assert ANN in shown
    for name, there in (("called anns", True), ("called lent", True), ("called all", True), ("called bens", False)):
        assert (name in shown) == there, name
    named = page(served.port, ANN, "overview", "run=bens")
    assert "no such run in the store" in named
    assert "called bens" not in named


def test_health_is_told_to_all_and_counts_to_the_monitor(served: Served) -> None:
    assert ask(served.port, "/healthz", source="127.0.0.2", Host="10.0.0.1")[::2] == (200, b"ok")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"X-Forwarded-User": ANN}):
        assert ask(served.port, "/metrics", **headers)[0] == 404, headers
    status, headers, body = ask(served.port, "/metrics", source="127.0.0.2", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    text = body.decode()
    assert 'kenviz_jobs{state="succeeded"} 2' in text
    assert "kenviz_refusals_total{" in text
    assert ANN not in text
    assert ask(served.port, "/_stcore/metrics", ANN)[0] == 404
    monitor = {"source": "127.0.0.2", "Authorization": f"Bearer {TOKEN}"}
    assert ask(served.port, "/metrics", **monitor, Host="10.1.2.3:8501")[0] == 200  # digits are nobody's name
    assert ask(served.port, "/metrics", **monitor, Host="rebound.example")[0] == 403
    assert ask(served.port, "/metrics", **monitor, Origin="http://rebound.example")[0] == 403


def test_nobody_leaves_files_here(served: Served) -> None:
    for method in ("PUT", "POST", "DELETE"):
        assert ask(served.port, "/_stcore/upload_file/session/file", ANN, method=method)[0] == 404


def test_no_secret_is_written_down(served: Served) -> None:
    ask(served.port, "/kenviz/atlas?run=demo", ANN, Authorization=f"Bearer {TOKEN}", Cookie="session=hidden-cookie")
    for name in ("audit.jsonl", "server.log"):
        text = (served.home / name).read_text("utf-8", "replace")
        assert TOKEN not in text
        assert "hidden-cookie" not in text
    assert HOST not in (served.home / "audit.jsonl").read_text()
