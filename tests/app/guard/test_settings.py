"""What an admin may write into server.toml, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.guard import mode, settings
from kencore.errors import SpecError
from kencore.jobs.limits import Limits
from kencore.system import people, roots

GOOD = 'hosts = ["Ken.example"]\n[login]\nkind = "proxy"\nproxies = ["10.0.0.7", "fd00::/8"]\n'


def write(home: Path, text: str) -> None:
    (home / settings.FILE).write_text(text)


def test_a_whole_file(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    write(
        home,
        f'audit = "{tmp_path}/a.jsonl"\n' + GOOD + 'header = "X-Remote-User"\nallowed = ["*@example.org"]\n'
        f'[files]\nroots = ["{tmp_path}"]\nhub = ["org/*"]\n[each]\nwaiting = 3\nminutes = 5.5\n'
        f'[metrics]\naddresses = ["127.0.0.1"]\ntoken_file = "{token}"\n',
    )
    found = settings.load()
    assert found is not None
    assert (found.hosts, found.login.header) == (("ken.example",), "x-remote-user")
    assert found.login.proxies == ("10.0.0.7/32", "fd00::/8")
    assert (found.each.waiting, found.each.minutes, found.each.running) == (3, 5.5, 2)
    assert found.audit_file == tmp_path / "a.jsonl"
    assert mode.door("", found).mode == "server"
    monkeypatch.setenv(settings.SERVER, "0")
    assert settings.load() is None
    monkeypatch.setenv(settings.SERVER, str(home / settings.FILE))
    assert settings.load() == found


def test_what_is_missing_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load() is None
    monkeypatch.setenv(settings.SERVER, "1")
    with pytest.raises(SpecError, match="docs/server.md"):
        settings.load()
    with pytest.raises(SpecError):
        mode.check_address("localhost")  # asked for, and not to be had: never without a login instead
    write(home, GOOD)
    mode.check_address("0.0.0.0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no hosts, no login"),
        ('hosts = []\n[login]\nkind = "proxy"\nproxies = ["::1"]', "hosts"),
        ('hosts = ["https://x"]\n[login]\nkind = "proxy"\nproxies = ["::1"]', "name of a host"),
        ('hosts = ["x"]\n[login]\nkind = "saml"', "one of proxy, oidc"),
        ('hosts = ["x"]\n[login]\nkind = "proxy"', "addresses of the proxies"),
        ('hosts = ["x"]\n[login]\nkind = "proxy"\nproxies = ["*"]', "an address or a network"),
        ('hosts = ["x"]\n[login]\nkind = "oidc"', "hosts of the login"),
        ('hosts = ["x"]\nlogin = 3', "login"),
        (GOOD + 'header = "Cookie"', "name of a header"),
        (GOOD + 'header = "a b"', "name of a header"),
        (GOOD + "[each]\nrunning = 0", "1 or more"),
        (GOOD + "[each]\nminutes = nan", "a number"),
        (GOOD + "[each]\njobs = 3", "unknown jobs"),
        (GOOD + '[files]\nroots = ["relative"]', "whole path of a folder"),
        (GOOD + '[files]\nroots = ["/no/such/folder"]', "whole path of a folder"),
        (GOOD + '[files]\nroots = ["/"]', "apart from the store"),
        (GOOD + '[metrics]\ntoken_file = "/no/such/file"', "holds the token"),
        (GOOD + "[other]", "unknown name"),
        ("hosts = [", "no TOML"),
        (GOOD + "[login]", "no TOML"),
    ],
)
def test_a_mistake_is_said_before_anything_is_served(home: Path, text: str, said: str) -> None:
    write(home, text)
    with pytest.raises(SpecError) as error:
        settings.load()
    assert said in str(error.value)


def test_what_stands_at_the_wrong_place_is_not_repeated(home: Path) -> None:
    write(home, GOOD + 'secret = "hunter2" x')
    with pytest.raises(SpecError) as error:
        settings.load()
    assert "hunter2" not in str(error.value)


def test_it_does_not_start_where_addresses_can_be_forged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, GOOD)
    found = settings.load()
    assert found is not None
    for value in (None, "*", "127.0.0.1"):
        monkeypatch.delenv(mode.FORWARDED, raising=False)
        if value is not None:
            monkeypatch.setenv(mode.FORWARDED, value)
        with pytest.raises(SpecError, match="kenviz"):
            mode.serve(found)
    assert not (home / "audit.jsonl").exists()


def test_a_server_hands_on_what_holds_for_workers_and_browsers(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit import config

    told: dict[str, object] = {}
    monkeypatch.setattr(config, "set_option", told.__setitem__)
    monkeypatch.setenv(mode.FORWARDED, "")
    for name in ("KENVIZ_ROOTS", "KENVIZ_HUBS", *(f"KENVIZ_EACH_{word}" for word in ("WAITING", "RUNNING", "MINUTES"))):
        monkeypatch.setenv(name, "to be put back")
    monkeypatch.setenv("KENVIZ_EACH_GIGABYTES", "")
    write(home, GOOD + "[files]\nhub = []\n[each]\nwaiting = 3\nminutes = 1.5\nupload_megabytes = 7\n")
    found = settings.load()
    assert found is not None
    try:
        mode.serve(found)
        assert people.viewer() == people.NOBODY
    finally:
        people.ask_by(None)
        people.tell_by(None)
    assert roots.roots() == ()
    assert Limits.from_environment() == Limits(waiting=3, running=2, minutes=1.5, gigabytes=50)
    assert (told["server.maxUploadSize"], told["server.maxMessageSize"]) == (7, 50)
    assert told["server.trustedUserHeaders"] == {"x-kenviz-user": "kenviz_user"}
    assert (home / "audit.jsonl").read_text().count("server started") == 1
