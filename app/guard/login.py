"""Who sent a request, as a proxy's header or the cookie of a login says, and what is answered where neither does."""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING, Any, Final

from app.guard.door import Refusal, client, every, inside, the_only
from app.guard.visitor import is_name
from kencore.errors import MissingExtraError, SpecError

if TYPE_CHECKING:
    from starlette.types import Scope

    from app.guard.settings import Login

OWN: Final = ("/auth/login", "/auth/logout", "/oauth2callback")  # of a login by OIDC: asked before anybody has one
SECRET: Final = 32  # letters that sign cookies, at least


def who(asked: Login, scope: Scope) -> str | Refusal:
    """The name of who sent a request, or why it may not come in."""
    found = _by_proxy(asked, scope) if asked.kind == "proxy" else _by_cookie(asked, scope)
    if isinstance(found, str) and asked.allowed and not any(fnmatch.fnmatchcase(found, one) for one in asked.allowed):
        return Refusal(403, "not allowed", "You are not on the list of people of this server.")
    return found


def _by_proxy(asked: Login, scope: Scope) -> str | Refusal:
    if not inside(client(scope), asked.proxies):
        return Refusal(403, "proxy", "This server is reached through its login alone.")
    found = the_only(scope, asked.header.encode())
    try:
        name = (found or "").encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        name = ""
    if not is_name(name) or "," in name:  # of two headers that somebody joined
        return Refusal(401, "login", "Sign in first.")
    return name


def _by_cookie(asked: Login, scope: Scope) -> str | Refusal:
    told = _cookie(scope)
    name = told.get(asked.claim)
    unverified = asked.claim == "email" and told.get("email_verified") is False
    if told.get("is_logged_in") is not True or unverified or not is_name(name):
        return Refusal(401, "login", "Sign in first.")
    return str(name)


def _cookie(scope: Scope) -> dict[str, Any]:
    """What Streamlit's signed cookie says of a login; nothing where there is none that is whole and ours."""
    from starlette.requests import cookie_parser
    from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
    from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

    cookies: dict[str, str] = {}
    for line in every(scope, b"cookie"):
        cookies |= cookie_parser(line)
    try:
        raw = _get_signed_cookie_with_chunks(cookies, USER_COOKIE_NAME)
        found = json.loads(raw) if raw else {}
    except (ValueError, RecursionError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def redirect(scope: Scope) -> str | None:
    """Where a person who opens a page without a login is sent; ``None``: it is no page that asks."""
    if scope["type"] != "http" or scope.get("method") != "GET" or the_only(scope, b"sec-fetch-mode") == "cors":
        return None
    if "text/html" not in (the_only(scope, b"accept") or ""):
        return None
    from streamlit.user_info import generate_login_redirect_url

    return generate_login_redirect_url("default")


def check_oidc() -> None:
    """Refuse to start where a login by OIDC could not work, or could be forged.

    Raises:
        MissingExtraError: Authlib is not installed.
        SpecError: Streamlit's secrets lack something.
    """
    from streamlit import auth_util
    from streamlit.errors import StreamlitAuthError
    from streamlit.web.server.server_util import get_cookie_secret

    if not auth_util.is_authlib_installed():
        raise MissingExtraError(
            "A login by OIDC", got="no Authlib", wanted="the extra server", remedy="pip install 'kencore[server]'"
        )
    try:
        auth_util.validate_auth_credentials("default")
        secret = str(get_cookie_secret() or "")
    except StreamlitAuthError as error:
        said = " ".join(str(error).split())
        raise _wrong_secrets(said) from None
    if len(secret) < SECRET:
        raise _wrong_secrets(f"a cookie_secret of {len(secret)} letters")


def _wrong_secrets(got: str) -> SpecError:
    return SpecError(
        "[auth] in Streamlit's secrets.toml",
        got=got,
        wanted=f"client_id, client_secret, server_metadata_url, redirect_uri, a cookie_secret of {SECRET} letters",
        remedy="Write them there; docs/server.md has an example.",
    )
