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
    ("errors", "devices", "palette"),
    (
        "home",
        "locks",
        "tradeoff",
        "walks",
        "score",
        "allocate",
        "select",
        "refine",
        "rescale",
        "evaluate",
    ),
    ("baselines", "spec", "spec_checks", "spec_json", "sweep_spec", "checkpoint", "calibrate"),
    ("store", "activations", "streams", "search", "pruning"),
    (
        "compare",
        "compare_quality",
        "compare_peers",
        "compare_view",
        "plan",
        "retune",
        "retune_live",
        "prune_parts",
        "prune",
        "prune_lm",
        "prune_lm_shared",
        "sweep",
        "sweep_folder",
        "prune_slices",
        "workbench",
        "phases",
        "states",
        "costs",
        "judging",
        "quality",
        "zero_shots",
        "finetune",
        "words",
        "report",
        "explain",
    ),
    ("jobs",),
    (
        "cli",
        "cli_files",
        "cli_compare",
        "cli_tune",
        "cli_text",
        "cli_measured",
        "cli_frame",
        "cli_sweep",
        "cli_report",
        "cli_explain",
        "__main__",
        "__init__",
    ),
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}
PURE = ("score", "allocate", "select", "refine", "rescale")
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
    ["kencore", "kencore.spec, kencore.prune, kencore.evaluate.text",
     "kencore.store.run, kencore.store.views, kencore.store.sparsity, kencore.explain",
     "app.sparsity_parts, app.overview_parts, app.prune_form, app.prune_language, app.api, "
     "app.story_parts, app.explain_parts"],
)  # fmt: skip
def test_what_the_web_process_imports_is_light(modules: str) -> None:
    code = f"import sys, {modules}; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    assert found.stdout.strip() == "[]"
