"""The viewer's modules as one script, for a page that no server stands behind."""

from __future__ import annotations

import re
from functools import cache
from graphlib import TopologicalSorter
from typing import Final

from app.viewer import SCRIPTS

_IMPORT: Final = re.compile(r'^import (?:\{(?P<names>[^}]*)\}|\* as (?P<all>\w+)) from "\./(?P<file>[\w.]+)";$', re.M)
_EXPORT: Final = re.compile(r"^export (?:default )?(?=(?:async )?(?:function|class|const) (\w+))", re.M)


@cache
def bundle(entry: str) -> str:
    """A script that is one expression: an object of all that the module ``entry`` exports.

    Every module becomes a function that runs once, those that it imports before it. Modules import by name from files
    beside them and export functions, classes and constants, and none imports itself in a circle.

    Raises:
        CycleError: modules import each other in a circle.
        ValueError: a module says ``import`` or ``export`` in another way.
    """
    parts = [f'modules["{name}"] = {_module(name)};' for name in _order(entry)]
    return "(() => {\nconst modules = {};\n" + "\n".join(parts) + f'\nreturn modules["{entry}"];\n}})()'


def _order(entry: str) -> list[str]:
    """The modules that ``entry`` needs, each after those that it imports."""
    needs: dict[str, list[str]] = {}
    left = [entry]
    while left:
        name = left.pop()
        if name not in needs:
            needs[name] = [found["file"] for found in _IMPORT.finditer(SCRIPTS[name])]
            left += needs[name]
    return list(TopologicalSorter(needs).static_order())


def _module(name: str) -> str:
    """One module as a call of a function that returns what it exports."""
    text = SCRIPTS[name]
    exported = ", ".join(dict.fromkeys(_EXPORT.findall(text)))
    text = _EXPORT.sub("", _IMPORT.sub(_local, text))
    if left := re.search(r"^(?:import|export)\b.*$", text, re.M):
        raise ValueError(f"{name}: {left[0]!r} is not a form that can be bundled")
    return f"(() => {{\n{text}return {{ {exported} }};\n}})()"


def _local(found: re.Match[str]) -> str:
    names = found["all"] or "{" + (found["names"] or "").replace(" as ", ": ") + "}"
    return f'const {names} = modules["{found["file"]}"];'
