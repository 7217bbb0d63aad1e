"""The command ``kenviz``, as somebody has it who installed a wheel and has no checkout."""

from __future__ import annotations

import http.server
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import urllib.request
import venv
from pathlib import Path

import pytest

from app import command
from kencore.methods import warm
from tests.app.conftest import ROOT
from tests.browser.conftest import free_port, wait_until_healthy

LARGEST = 30_000_000  # bytes; two fifths of it are the runs of the gallery
SETTINGS = """
from streamlit import config
import app, kencore
config._main_script_path = app.__path__[0] + "/server.py"
print(config.get_option("theme.light.primaryColor"), kencore.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``pip wheel .`` makes of the sources."""
    sources, made = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in ("app", "assets", "kencore"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-index", "--no-build-isolation", "--no-deps", "-w", made, sources], check=True)
    return next(made.glob("kencore-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel in it; what it needs is that of this environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", programs / "python"]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", "--no-compile", wheel], check=True)
    own = subprocess.run(
        [programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    (Path(own.stdout.strip()) / "others.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return programs


def test_the_wheel_has_all_and_is_not_large(wheel: Path) -> None:
    import zipfile

    names = set(zipfile.ZipFile(wheel).namelist())
    needed = [file for folder in ("app", "kencore") for file in (ROOT / folder).rglob("*") if file.is_file()]
    left_out = {".pyc", ".nbi", ".nbc", ".warm"}
    wanted = {file.relative_to(ROOT).as_posix() for file in needed if file.suffix not in left_out}
    wanted -= {name for name in wanted if "__pycache__" in name}
    demo = [
        file for file in (ROOT / "assets" / "demo").rglob("*") if file.is_file() and file.suffix not in {".py", ".pyc"}
    ]
    wanted |= {f"kencore/{file.relative_to(ROOT).as_posix()}" for file in demo}
    assert wanted - names == set()
    assert wheel.stat().st_size <= LARGEST


def test_the_app_of_a_wheel_starts_with_its_demo_and_its_colours(installed: Path, home: Path) -> None:
    cache = home / "cache"
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "KENVIZ_ASSETS"}}
    environment["NUMBA_CACHE_DIR"] = str(cache)
    ask = "from kencore.methods import warm; print(warm.mark())"
    for code, found in ((ask, ".warm"), (SETTINGS, "#1B63B5")):
        said = subprocess.run(
            [installed / "python", "-c", code], capture_output=True, text=True, check=True, cwd=home, env=environment
        ).stdout.strip()
        assert found in said
        assert str(ROOT) not in said
        if code == ask:  # as after `kencore warm`
            (cache / "methods").mkdir(parents=True)
            (cache / "methods" / said).touch()
    port, log = free_port(), home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [installed / "kenviz", "--no-browser", "--port", str(port)],
            cwd=home,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://localhost:{port}"
        wait_until_healthy(url, process, log)
        with urllib.request.urlopen(f"{url}/kenviz/atlas?run=demo", timeout=60) as answer:
            assert answer.status == 200
            assert len(answer.read()) > 1000
        assert "Compiling" not in log.read_text("utf-8")
    finally:
        process.terminate()
        process.wait(20)


def test_a_first_start_compiles_first(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(warm, "needs_warming", lambda: True)
    monkeypatch.setattr(subprocess, "run", lambda words, **_: asked.append(words))
    command.compile_once()
    assert asked == [[sys.executable, "-m", "kencore", "warm"]]
    assert "about 15 seconds" in capfd.readouterr().out
    monkeypatch.setattr(warm, "needs_warming", lambda: False)
    command.compile_once()
    assert len(asked) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_browser_is_shown_the_app_once_it_answers(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/_stcore/health" else 404)
            self.end_headers()

    opened: list[str] = []
    monkeypatch.setattr(command.webbrowser, "open", opened.append)
    with http.server.HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command.show(host, server.server_port)
        server.shutdown()
    assert opened == [f"http://{'localhost' if host == '0.0.0.0' else host}:{server.server_port}"]


def test_without_a_screen_no_browser_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not command.has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert command.has_screen()
