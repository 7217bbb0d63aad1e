"""Puts the demo and the gallery into wheels, inside the package; all else is in `pyproject.toml`."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = (Path("assets", "demo"), Path("assets", "gallery"))


class WithAssets(build_py):
    """Copies models, runs and sentences that ship with the project, not the scripts that made them."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:  # a checkout has them beside the package
            for folder in SHIPPED:
                place = Path(self.build_lib, "kencore", folder)
                shutil.copytree(folder, place, ignore=shutil.ignore_patterns("*.py", "__pycache__"), dirs_exist_ok=True)


setup(cmdclass={"build_py": WithAssets})
