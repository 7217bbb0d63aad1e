"""Arrows between the library's parts run one way, and what has to be light is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import kencore

ROOT = Path(kencore.__file__).parent
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "system", "methods", "allocate"),
    ("settings", "checkpoint", "data"),
    ("models", "runs"),
    ("exports",),
    ("quality",),
    ("pruning", "views", "explain"),
    ("live", "recover", "sweeps"),
    ("words",),
    ("report",),
    ("jobs", "cli"),
    ("__main__", "__init__"),
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}
PURE = ("methods", "allocate")
HEAVY = ("torch", "transformers", "scipy.stats", "numba", "sklearn")


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def part(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_part_has_its_floor() -> None:
    found = {part(file) for file in ROOT.rglob("*.py")}
    assert found == set(FLOOR)


@pytest.mark.parametrize("name", sorted(FLOOR))
def test_no_arrow_runs_up(name: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in ROOT.rglob("*.py")
        if part(file) == name
        for module in imports(file)
        if module.startswith("kencore.") and FLOOR[module.split(".")[1]] > FLOOR[name]
    ]
    assert wrong == []


@pytest.mark.parametrize("name", PURE)
def test_pure_parts_know_neither_models_nor_files(name: str) -> None:
    allowed = {"torch", "numpy", "numba", "kencore"} | set(sys.stdlib_module_names)
    used = {
        module.split(".")[0]
        for file in ROOT.rglob("*.py")
        if part(file) == name
        for module in imports(file)
    }
    assert used <= allowed


def test_the_library_never_imports_the_app() -> None:
    used = {module.split(".")[0] for file in ROOT.rglob("*.py") for module in imports(file)}
    assert used.isdisjoint({"app", "streamlit", "plotly"})


@pytest.mark.parametrize(
    "modules",
    ["kencore", "kencore.settings.prune, kencore.pruning.prune, kencore.data.text",
     "kencore.runs.run, kencore.views.window, kencore.views.sparsity, kencore.explain",
     "app.app_pages.sparsity.parts, app.app_pages.overview.tables, app.forms.prune, "
     "app.forms.prune_language, app.data.answers, app.app_pages.story.pictures, app.parts.explain"],
)  # fmt: skip
def test_what_the_web_process_imports_is_light(modules: str) -> None:
    code = f"import sys, {modules}; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    assert found.stdout.strip() == "[]"
