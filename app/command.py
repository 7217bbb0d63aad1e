"""The command ``kenviz``: compile what is not compiled yet, serve the app, show it in the browser."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
import urllib.request
import webbrowser
from pathlib import Path

from app.guard import mode
from app.guard import settings as server_settings
from kencore._version import __version__
from kencore.errors import KencoreError

SERVER = Path(__file__).with_name("server.py")
PATIENCE = 60.0  # seconds that the browser waits for the server
EVERYWHERE = ("0.0.0.0", "::", "")  # addresses that a browser cannot open


def main(arguments: list[str] | None = None) -> None:
    """Run the app until it is interrupted."""
    asked = parser().parse_args(arguments)
    if asked.i_know:
        os.environ[mode.I_KNOW] = "1"
    try:
        if asked.worker:
            work()
            return
        mode.check_address(asked.host)
    except KencoreError as error:
        sys.exit(str(error))
    # uvicorn would take the sender of a request from a header that anybody on this machine can write
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    compile_once()
    if not asked.no_browser and has_screen():
        threading.Thread(target=show, args=(asked.host, asked.port), daemon=True).start()
    from streamlit.web.cli import main as streamlit

    options = {"port": asked.port, "address": asked.host, "headless": "true"}
    flags = [word for name, value in options.items() for word in (f"--server.{name}", str(value))]
    streamlit(["run", str(SERVER), *flags], prog_name="streamlit")


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    made = argparse.ArgumentParser(prog="kenviz", description="Open KEN_viz on the runs of this machine and a demo.")
    made.add_argument("--port", type=int, default=8501, help="port to serve on (default: %(default)s)")
    made.add_argument("--host", default="localhost", help="address to serve on; 0.0.0.0: all (default: %(default)s)")
    made.add_argument(
        "--i-know", action="store_true", help="serve without a login on an address that other machines reach"
    )
    made.add_argument(
        "--worker", action="store_true", help="run the worker of the store alone, as in a container of its own"
    )
    made.add_argument("--no-browser", action="store_true", help="do not open a browser")
    made.add_argument("--version", action="version", version=f"KEN_viz {__version__}")
    return made


def work() -> None:
    """Be the worker of the store until it is interrupted, by the settings of a server if it is one.

    Raises:
        KencoreError: settings that are wrong, or a store that cannot be written.
    """
    from kencore.jobs.worker import supervisor

    if (settings := server_settings.load()) is not None:
        mode.tell_workers(settings)
    os.environ.setdefault("KENVIZ_IDLE_SECONDS", str(10**9))  # it waits for work as long as it lives
    supervisor.main()


def compile_once() -> None:
    """On the first start after an installation: `kencore warm`, in a process of its own."""
    from kencore.methods.warm import needs_warming

    if needs_warming():
        print("Compiling the selection rules for this machine, once: about 15 seconds.", flush=True)
        subprocess.run([sys.executable, "-m", "kencore", "warm"], check=False)  # without it the first prune compiles


def has_screen() -> bool:
    """Whether a browser could be shown: not so on a server that is used through a terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(host: str, port: int) -> None:
    """Open the app in the browser as soon as it answers."""
    address = f"http://{'localhost' if host in EVERYWHERE else host}:{port}"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                webbrowser.open(address)
                return
        except OSError:
            time.sleep(0.2)
