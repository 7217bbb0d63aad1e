"""Which attempts are forked from the loaded process, and which are not."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from kencore.jobs.worker import interpreter, local
from kencore.jobs.worker.launch import Attempt
from kencore.jobs.worker.local import LocalLauncher


class Loaded:
    """A zygote that notes what it is asked to fork."""

    def __init__(self, *, ready: bool, dead: bool = False) -> None:
        self.ready, self.dead, self.asked = ready, dead, list[Attempt]()

    def fork(self, attempt: Attempt) -> bool:
        self.asked.append(attempt)
        return not self.dead


def attempt(*, heavy: bool) -> Attempt:
    return Attempt(job="job", number=1, heavy=heavy, threads=1)


@pytest.mark.parametrize(
    ("ready", "heavy", "changed", "dead", "forked"),
    [
        (True, True, False, False, True),
        (True, False, False, False, True),
        (False, True, False, False, True),  # it waits: it would load torch itself otherwise
        (False, False, False, False, False),
        (True, True, True, False, False),  # the code was updated meanwhile
        (True, True, False, True, False),
    ],
)
def test_what_is_forked(
    monkeypatch: pytest.MonkeyPatch, ready: bool, heavy: bool, changed: bool, dead: bool, forked: bool
) -> None:
    launcher, zygote = LocalLauncher(()), Loaded(ready=ready, dead=dead)
    new: list[Attempt] = []
    monkeypatch.setattr(launcher, "_zygote", zygote)
    monkeypatch.setattr(launcher, "_start_new", new.append)
    monkeypatch.setattr(local, "changed_since", lambda _: changed)
    launcher.start(attempt(heavy=heavy))
    assert new == ([] if forked else [attempt(heavy=heavy)])
    assert bool(zygote.asked) == (forked or dead)


def test_a_change_of_the_code_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    file = tmp_path / "deep" / "module.py"
    file.write_text("")
    monkeypatch.setattr(interpreter, "_package", lambda: tmp_path)
    now = time.time()
    os.utime(file, (now, now))
    assert not interpreter.changed_since(now + 1)
    assert interpreter.changed_since(now - 1)


def test_without_a_process_to_fork_from_there_is_still_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> SimpleNamespace:
        raise OSError("no more processes")

    monkeypatch.setattr(local.Zygote, "start", refuse)
    launcher = LocalLauncher(("json",))
    assert launcher.exits() == {}
    assert not launcher.watches("job", 1)
    launcher.wait(0.0)
    launcher.close()


def test_threads_of_jobs_sleep_while_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert interpreter.environment()["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert interpreter.environment()["OMP_WAIT_POLICY"] == "ACTIVE"
