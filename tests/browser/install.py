"""Make sure that a Chromium is there for the browser tests: use one, or install one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

SHELL = "chromium-headless-shell"  # the same browser without its windows: a quarter less work
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> str | None:
    """Path of an installed Chromium or Chrome; `KENVIZ_CHROMIUM` comes first."""
    asked = os.environ.get("KENVIZ_CHROMIUM")
    return asked or next(filter(None, map(shutil.which, NAMES)), None)


def install() -> bool:
    """Install Debian's package, the light one first, where there is apt and the right to use it."""
    apt = shutil.which("apt-get")
    if apt is None:
        return False
    sudo = [] if os.geteuid() == 0 else [shutil.which("sudo") or "sudo", "-n"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], *(["install", "-y", "-qq", name] for name in NAMES[:2])):
        done = subprocess.run([*sudo, apt, *arguments], env=environment, stdout=subprocess.DEVNULL, check=False)
        if arguments[0] == "install" and not done.returncode:
            return True
    return False


def main(arguments: list[str]) -> int:
    found = shutil.which(SHELL) or "KENVIZ_CHROMIUM" in os.environ or install() or find_browser()
    if arguments == ["--package"]:  # the package alone: Playwright is not there yet, and comes next
        return 0
    if found:
        print(f"browser for the tests: {find_browser()}")
        return 0
    done = subprocess.run([sys.executable, "-m", "playwright", "install", "--with-deps", "chromium"], check=False)
    if done.returncode:
        print(
            "The browser tests need Chromium: install it (Debian: apt-get install chromium) "
            "or set KENVIZ_CHROMIUM to its path.",
            file=sys.stderr,
        )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
