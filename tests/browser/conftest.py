"""The app in a real browser: one server with its own store, a fresh page for each test.

Without a Chromium these tests fail and say so: they are never skipped in silence.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, ViewportSize, expect, sync_playwright

from kencore import jobs
from kencore.jobs import JobStatus
from kencore.runs.run import Run
from tests.browser.install import find_browser
from tests.support import runs

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--in-process-gpu",
    "--disable-software-rasterizer",
    "--process-per-site",  # with the tab that stays open: scripts are compiled once, not for every tab
]
BLANK = "/_stcore/health"  # an address of the app without scripts
TALL: ViewportSize = {"width": 1280, "height": 1600}
LONG = 5000  # words in the vocabulary of the run ``long``: too many rows for one cell each
READY = "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"

# Streamlit's placeholders stand still: painting them over and over takes longer than the page that they stand for
STILL = """document.addEventListener("readystatechange", () => {
    const style = document.createElement("style");
    style.textContent = "[data-testid=stSkeleton] {animation: none !important}";
    document.documentElement.append(style);
}, {once: true});"""

expect.set_options(timeout=60_000)  # milliseconds: on a busy machine five seconds pass quickly


@dataclass(frozen=True)
class Server:
    """A running app: its address, its store's folder, the runs in it."""

    url: str
    home: Path
    sample: Run
    long: Run


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app as a person starts it, on a free port, with runs ``sample`` and ``long``."""
    home = tmp_path_factory.mktemp("browser-home")
    made = {"sample": runs.make_run(tmp_path_factory.mktemp("sample")).path}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "VOCABULARY", LONG)
        made["long"] = runs.make_run(tmp_path_factory.mktemp("long"), method="magnitude").path
    for name, path in made.items():
        shutil.copytree(path, home / "runs" / name)
    with running(home, home / "no assets") as url:
        yield Server(url, home, *(Run(home / "runs" / name) for name in made))


@dataclass(frozen=True)
class App:
    """A running app with a store of its own and a demo run."""

    url: str
    home: Path

    @contextmanager
    def store(self) -> Iterator[None]:
        """This process looks at the app's store."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KENVIZ_HOME", str(self.home))
            yield

    def jobs(self, kind: str = "prune") -> list[JobStatus]:
        with self.store():
            return jobs.list_jobs(kind=kind)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The app as it is shipped, demo and worker included, with an empty store of its own."""
    home = tmp_path_factory.mktemp("prune-home")
    with running(home, ROOT / "assets") as url:
        found = App(url, home)
        yield found
        with found.store():
            jobs.shutdown()


@contextmanager
def running(home: Path, assets: Path, *, gallery: bool = False) -> Iterator[str]:
    """The app as a person starts it, on a free port; its address. The gallery is hidden unless it is asked for."""
    port, log = free_port(), home / "server.log"
    environment = os.environ | {"KENVIZ_HOME": str(home), "KENVIZ_ASSETS": str(assets), "HF_HUB_OFFLINE": "1"}
    environment["KENVIZ_GALLERY"] = "" if gallery else str(home / "no gallery")
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        "app/server.py",
        "--server.port",
        str(port),
        "--server.headless",
        "true",
        "--server.fileWatcherType",
        "none",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        url = f"http://localhost:{port}"
        wait_until_healthy(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the app ended at once:\n{log.read_text('utf-8', 'replace')}")
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the app did not answer in 90 s:\n{log.read_text('utf-8', 'replace')}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """An installed Chromium, else the one that Playwright downloaded."""
    with sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        except Error as error:
            pytest.fail(
                "The browser tests need Chromium and found none that starts. Install one with "
                f"`python tests/browser/install.py`, or name it in KENVIZ_CHROMIUM.\n{error}"
            )
        yield opened
        opened.close()


Profiles = Callable[[str], BrowserContext]
NewPage = Callable[..., Page]
Scheme = Literal["light", "dark"]


def new_profile(browser: Browser, url: str, **options: Any) -> BrowserContext:
    """A profile of the browser, at home on that app."""
    context = browser.new_context(base_url=url, **options)
    context.add_init_script(STILL)
    return context


@pytest.fixture(scope="session")
def profiles(browser: Browser) -> Iterator[Profiles]:
    """``profiles(url)``: one profile of the browser for each app, so that its scripts are fetched and compiled
    once for all tests. What tests of two profiles need they make themselves."""
    made: dict[str, BrowserContext] = {}

    def profile(url: str) -> BrowserContext:
        if url not in made:
            made[url] = new_profile(browser, url, viewport=TALL)
            made[url].new_page().goto(BLANK)  # stays: with the last tab of an app its process would end
        return made[url]

    yield profile
    for context in made.values():
        context.close()


def forget(context: BrowserContext) -> None:
    """Nothing of a test is left in a profile: no tab of it, no permission, no cookie."""
    for page in context.pages:
        if not page.url.endswith(BLANK):
            page.close()
    context.clear_permissions()
    context.clear_cookies()


@pytest.fixture
def tab(app: App, profiles: Profiles) -> Iterator[Page]:
    """A browser tab on that app; ``tab.context.new_page()`` is a second one."""
    context = profiles(app.url)
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    forget(context)


@pytest.fixture
def new_page(browser: Browser, server: Server, profiles: Profiles) -> Iterator[NewPage]:
    """``new_page(width=900, color_scheme="dark")``: a fresh tab; with ``stranger=True`` or other
    options one of a profile of its own. Errors of the page's own scripts fail the test.
    """
    contexts = []
    errors: list[str] = []

    def make(
        *,
        width: int = 1280,
        height: int = 900,
        color_scheme: Scheme = "light",
        stranger: bool = False,
        **options: object,
    ) -> Page:
        context = profiles(server.url)
        if stranger or options:
            context = new_profile(browser, server.url, **options)
            contexts.append(context)
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=color_scheme)
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    forget(profiles(server.url))
    assert not errors


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A fresh page, 1280 x 900, light."""
    return new_page()


def visit(page: Page, address: str) -> Page:
    """Open an address of the app, or a whole link, and wait until the page's script has run."""
    page.goto(address if "://" in address else f"/{address}")
    page.wait_for_selector(READY, timeout=120_000)  # the first page of a server starts it
    return page
