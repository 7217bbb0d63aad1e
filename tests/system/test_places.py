"""Where things live, and what is said when they cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kencore.errors import StoreNotWritableError
from kencore.system.places import home as current_home
from kencore.system.places import jobs_folder, runs_folder, sweeps_folder


def test_the_home_is_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "a" / "b"))
    assert current_home() == tmp_path / "a" / "b"
    assert not (tmp_path / "a").exists()
    assert runs_folder() == tmp_path / "a" / "b" / "runs"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KENVIZ_HOME", "relative")
    assert current_home() == tmp_path / "relative"


def test_without_the_variable_it_is_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_HOME", " ")
    assert current_home().name == "kenviz"
    assert current_home().is_absolute()


def test_new_folders_are_private_and_old_ones_keep_their_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "a" / "b"))
    folders = [make() for make in (runs_folder, sweeps_folder, jobs_folder)]
    for folder in (*folders, tmp_path / "a", tmp_path / "a" / "b"):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert runs_folder() == folders[0]


@pytest.mark.parametrize("make", [runs_folder, sweeps_folder, jobs_folder])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/kenviz"])
def test_a_place_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Path], place: str
) -> None:
    (tmp_path / "file").write_text("a file, not a folder")
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / place))
    with pytest.raises(StoreNotWritableError) as caught:
        make()
    assert str(tmp_path / place) in str(caught.value)
    assert "KENVIZ_HOME" in caught.value.remedy
