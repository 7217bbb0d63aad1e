"""The web process reaches no other machine, whatever library tries."""

from __future__ import annotations

import subprocess
import sys

from tests.app.conftest import ROOT

CODE = """
import socket, threading, http.server, urllib.request
from app.guard import offline
offline.close(*{login!r})
seen = []
def tried(what):
    try:
        what()
        seen.append("reached")
    except PermissionError:
        seen.append("refused")
    except OSError as error:
        seen.append("refused" if isinstance(getattr(error, "reason", None), PermissionError) else "unreachable")
tried(lambda: urllib.request.urlopen("http://hub.example/x", timeout=1))
tried(lambda: urllib.request.urlopen("http://192.0.2.1/x", timeout=0.2))
tried(lambda: socket.create_connection(("2001:db8::1", 80), timeout=0.2))
tried(lambda: socket.getaddrinfo("login.example", 443))
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
tried(lambda: urllib.request.urlopen(f"http://localhost:{{server.server_port}}/", timeout=5))
tried(lambda: socket.socketpair())
print(*seen)
"""


def seen(*login: str) -> list[str]:
    code = CODE.format(login=login)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


def test_only_this_machine_is_reached() -> None:
    assert seen() == ["refused", "refused", "refused", "refused", "reached", "reached"]


def test_the_host_of_a_login_may_be_asked_for_and_no_other() -> None:
    found = seen("login.example")
    assert found[0] == "refused"
    assert found[3:] == ["unreachable", "reached", "reached"]
