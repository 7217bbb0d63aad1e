"""Puts the demo into wheels, inside the package; all else is in `pyproject.toml`."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DEMO = Path("assets", "demo")


class WithDemo(build_py):
    """Copies the demo's models, runs and sentences, not the scripts that made them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # a checkout has them beside the package
            place = Path(self.build_lib, "kencore", DEMO)
            shutil.copytree(DEMO, place, ignore=shutil.ignore_patterns("*.py", "__pycache__"), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithDemo})
