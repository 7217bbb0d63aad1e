"""Who a request says that it is from, and whom it may not be from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.guard import login, visitor
from app.guard.door import Refusal
from app.guard.settings import Login
from kencore.system.people import NOBODY
from tests.app.guard.test_door import scope

PROXY = Login(kind="proxy", header="X-User", proxies=("10.0.0.0/8",), allowed=("*@example.org", "josé"))
OIDC = Login(kind="oidc", hosts=("login.example",))
SECRET = "a secret that signs the cookies of the tests"


def of(asked: Login, sent: dict[str, Any]) -> str:
    found = login.who(asked, sent)
    return found if isinstance(found, str) else f"{found.status} {found.why}"


@pytest.mark.parametrize(
    ("name", "client", "said"),
    [
        ("ann@example.org", "10.1.2.3", "ann@example.org"),
        ("ann@example.org", "::ffff:10.1.2.3", "ann@example.org"),
        ("josé".encode().decode("latin-1"), "10.1.2.3", "josé"),
        ("ann@example.org", "11.1.2.3", "403 proxy"),
        ("ann@example.org", "127.0.0.1", "403 proxy"),
        ("ann@example.org", "", "403 proxy"),
        ("eve@elsewhere.org", "10.1.2.3", "403 not allowed"),
        ("", "10.1.2.3", "401 login"),
        ("local", "10.1.2.3", "401 login"),
        ("a@example.org, b@example.org", "10.1.2.3", "401 login"),
        ("a\x00@example.org", "10.1.2.3", "401 login"),
        ("\xff@example.org", "10.1.2.3", "401 login"),
        ("a" * 300 + "@example.org", "10.1.2.3", "401 login"),
    ],
)
def test_a_proxy_says_who_it_is(name: str, client: str, said: str) -> None:
    sent = scope(client=client)
    sent["headers"].append((b"X-User", name.encode("latin-1")))
    assert of(PROXY, sent) == said
    sent["headers"].append((b"x-user", b"ann@example.org"))
    assert of(PROXY, sent) != "ann@example.org"  # said twice


def test_what_goes_on_says_who_was_let_in_and_nothing_else() -> None:
    sent = scope(x_user="eve", x_kenviz_user="eve", accept="*/*")
    found = dict(visitor.enter(sent, "josé@example.org", dropped=("X-User",))["headers"])
    assert found[b"x-kenviz-user"] == b"jos%C3%A9@example.org"
    assert b"x-user" not in found
    assert found[b"accept"] == b"*/*"
    assert visitor.viewer() == "josé@example.org"
    assert b"x-kenviz-user" not in dict(visitor.enter(sent, None)["headers"])
    assert visitor.viewer() == NOBODY


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit import config

    real = config.get_option
    monkeypatch.setattr(config, "get_option", lambda name: SECRET if "Secret" in name else real(name))


def cookie(told: Any, secret: str = SECRET) -> str:
    from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

    return f"_streamlit_user={create_signed_value(secret, '_streamlit_user', json.dumps(told)).decode()}"


@pytest.mark.usefixtures("secrets")
def test_a_signed_cookie_says_who_it_is() -> None:
    good = {"is_logged_in": True, "email": "ann@example.org", "origin": "https://ken.example"}
    assert of(OIDC, scope(cookie=cookie(good))) == "ann@example.org"
    for told in (
        {},
        {**good, "is_logged_in": False},
        {**good, "is_logged_in": "yes"},
        {**good, "email": None},
        {**good, "email": ["ann@example.org"]},
        {**good, "email": "local"},
        {**good, "email_verified": False},
        [good],
    ):
        assert of(OIDC, scope(cookie=cookie(told))) == "401 login", told
    assert of(OIDC, scope(cookie=cookie(good, "another secret of another server, guessed"))) == "401 login"
    assert of(OIDC, scope(cookie=cookie(good)[:-3])) == "401 login"
    assert of(OIDC, scope(cookie="_streamlit_user=" + json.dumps(good))) == "401 login"
    assert of(OIDC, scope(x_forwarded_user="ann@example.org")) == "401 login"
    assert of(OIDC, scope()) == "401 login"


def test_a_login_that_could_be_forged_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from kencore.errors import KencoreError

    with pytest.raises(KencoreError):  # no Authlib, or no secrets
        login.check_oidc()


def test_a_refusal_is_no_name() -> None:
    assert isinstance(login.who(PROXY, scope()), Refusal)
