"""Time from process start to first paint, over that of an empty Streamlit app, in one run.

    python benchmarks/first_paint.py [--runs 5]

Starts each app in turn as a new process, opens it in a fresh headless Chromium page and stops the
clock when its title is visible. The goal is a ratio of medians of at most 1.3 for the Overview.
Needs the browser of the tests (`python tests/browser/install.py`).
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.install import find_browser  # noqa: E402

EMPTY = "import streamlit as st\n\nst.title('Empty')\n"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_server(port: int) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5):
                return
        except OSError:
            time.sleep(0.01)


def seconds_to_title(browser: Browser, script: Path, home: str) -> float:
    """One cold start: from the start of the process until the page's title is seen."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(script),
        "--server.port",
        str(port),
        "--server.headless",
        "true",
        "--server.fileWatcherType",
        "none",
        "--browser.gatherUsageStats",
        "false",
    ]
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"KENVIZ_HOME": home}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_server(port)
        page.goto(f"http://localhost:{port}/")
        page.locator("h1").first.wait_for(state="visible", timeout=120_000)
        return time.perf_counter() - started
    finally:
        page.context.close()
        process.terminate()
        process.wait()


def paint_times(browser: Browser, runs: int) -> dict[str, list[float]]:
    """Seconds of ``runs`` cold starts of each app, in turns."""
    with tempfile.TemporaryDirectory() as home:
        empty = Path(home) / "empty.py"
        empty.write_text(EMPTY, "utf-8")
        apps = {"empty app": empty, "KEN_viz": ROOT / "app" / "server.py"}
        times: dict[str, list[float]] = {name: [] for name in apps}
        for number in range(runs + 1):
            for name, script in apps.items():
                seconds = seconds_to_title(browser, script, home)
                if number:  # the first of each only warms the disk
                    times[name].append(seconds)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        times = paint_times(browser, runs)
        browser.close()
    for name, found in times.items():
        print(f"{name}: median {median(found):.2f} s, fastest {min(found):.2f} s of {len(found)}")
    ours, theirs = times["KEN_viz"], times["empty app"]
    print(f"ratio of medians {median(ours) / median(theirs):.2f} (goal 1.3), of fastest {min(ours) / min(theirs):.2f}")


if __name__ == "__main__":
    main()
