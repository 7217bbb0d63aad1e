"""How another Python process with this same package is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import kencore.system.places

# The supervisor needs little of the package, and the package's own __init__ imports much: an
# empty package of the same place stands in for it there (20 MB and 0.2 s instead of 120 and 0.9).
_WITHOUT_INIT = (
    "import runpy, sys, types; package = types.ModuleType('kencore');"
    " package.__path__ = [sys.argv[1]]; sys.modules['kencore'] = package;"
    " runpy.run_module(sys.argv[2], run_name='__main__')"
)


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package, wherever the process is started."""
    return [sys.executable, "-P", "-m", module, *arguments]


def light_command(module: str) -> list[str]:
    """As `command`, without running the package's ``__init__``."""
    return [sys.executable, "-P", "-c", _WITHOUT_INIT, str(_package()), module]


def environment() -> dict[str, str]:
    """This process's variables, with the package to be found and the store as it is here."""
    given = dict(os.environ)
    known = [given["PYTHONPATH"]] if given.get("PYTHONPATH") else []
    given["PYTHONPATH"] = os.pathsep.join([str(_package().parent), *known])
    given["KENVIZ_HOME"] = str(kencore.system.places.home())
    given["PYTHONUNBUFFERED"] = "1"
    return given


def changed_since(moment: float) -> bool:
    """Whether a source file of this package is newer than ``moment`` (seconds since 1970).

    A process that started before has the old code in memory.
    """
    return any(path.stat().st_mtime > moment for path in _package().rglob("*.py"))


def _package() -> Path:
    return Path(kencore.system.places.__file__).absolute().parents[1]
