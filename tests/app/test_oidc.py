"""A login by OIDC, from the first page to the first data, at a provider that is made up for the test."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.app.server_mode import HOST, ask, put_run, serving, write_settings

ANN = "ann@example.org"
CLIENT, SECRET = "kenviz", "the client's secret that nobody is told"
PAGE = {"Accept": "text/html", "Sec_Fetch_Mode": "navigate"}


class Provider(http.server.ThreadingHTTPServer):
    """Metadata, keys, and tokens for the nonce that it was asked with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.key = RSAKey.generate_key(2048, {"kid": "k", "use": "sig", "alg": "RS256"})
        self.nonce, self.asked, self.audience = "", [""], CLIENT
        self.url = f"http://localhost:{self.server_port}"


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        mine = self.server
        self._say(
            {"keys": [mine.key.as_dict(private=False)]}
            if self.path == "/keys"
            else {
                "issuer": mine.url,
                "authorization_endpoint": f"{mine.url}/authorize",
                "token_endpoint": f"{mine.url}/token",
                "jwks_uri": f"{mine.url}/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    def do_POST(self) -> None:
        mine, now = self.server, int(time.time())
        mine.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        claims = {"iss": mine.url, "aud": mine.audience, "sub": "1", "email": ANN, "nonce": mine.nonce}
        token = jwt.encode({"alg": "RS256", "kid": "k"}, claims | {"iat": now, "exp": now + 600}, mine.key)
        self._say({"access_token": "a", "token_type": "Bearer", "id_token": token, "expires_in": 600})

    def _say(self, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, provider: Provider, sample: Path) -> Iterator[int]:
    home, own = tmp_path_factory.mktemp("oidc"), tmp_path_factory.mktemp("account")
    write_settings(home, [], login='kind = "oidc"\nhosts = ["localhost"]\nallowed = ["*@example.org"]')
    put_run(home, sample, "anns", ANN)
    put_run(home, sample, "bens", "ben@example.org")
    (own / ".streamlit").mkdir()
    (own / ".streamlit" / "secrets.toml").write_text(
        f'[auth]\nredirect_uri = "http://{HOST}/oauth2callback"\ncookie_secret = "{"s3cret-of-the-cookie" * 2}"\n'
        f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
        f'server_metadata_url = "{provider.url}/.well-known/openid-configuration"\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(own))
        with serving(home) as found:
            yield found
    assert SECRET not in (home / "server.log").read_text("utf-8", "replace")


def sign_in(port: int, provider: Provider) -> str:
    """The cookie of a person who signed in; "" where the app did not take what the provider said."""
    status, headers, _ = ask(port, "/", **PAGE)
    assert status == 302
    status, headers, _ = ask(port, headers["location"])
    there = urlsplit(headers["location"])
    asked = {name: values[0] for name, values in parse_qs(there.query).items()}
    assert (status, f"{there.scheme}://{there.netloc}{there.path}") == (302, f"{provider.url}/authorize")
    assert (asked["client_id"], asked["redirect_uri"]) == (CLIENT, f"http://{HOST}/oauth2callback")
    provider.nonce = asked["nonce"]
    session = headers["set-cookie"].split(";")[0]
    back = f"/oauth2callback?code=c&state={asked['state']}"
    _, headers, _ = ask(port, back, Cookie=session, Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="document", **PAGE)
    told = [line.split(";")[0] for line in headers.get("set-cookie", "").splitlines()]
    found = [one for one in told if one.startswith("_streamlit_user=") and len(one) > 50]  # not one that is taken away
    return found[-1] if found else ""


def test_who_signs_in_sees_what_is_theirs(port: int, provider: Provider) -> None:
    cookie = sign_in(port, provider)
    assert cookie
    for path, status in (("/", 200), ("/kenviz/atlas?run=anns", 200), ("/kenviz/atlas?run=bens", 404)):
        assert ask(port, path, Cookie=cookie)[0] == status, path


def test_without_a_login_pages_lead_to_it_and_the_rest_is_refused(port: int) -> None:
    status, headers, _ = ask(port, "/explain", **PAGE)
    assert (status, headers["location"].split("?")[0]) == (302, "/auth/login")
    for path in ("/kenviz/atlas?run=demo", "/_stcore/host-config", "/", "/static/js/x.js"):
        assert ask(port, path)[0] == 401, path
        assert ask(port, path, ANN, Cookie="_streamlit_user=x", X_Kenviz_User=ANN)[0] == 401, path
    assert ask(port, "/healthz")[::2] == (200, b"ok")


def test_a_token_for_another_app_signs_nobody_in(
    port: int, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "audience", "another app")
    assert sign_in(port, provider) == ""
