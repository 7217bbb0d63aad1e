"""Arrows between rooms are held by import-linter (`pyproject.toml`); what has to be light is light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kencore

ROOT = Path(kencore.__file__).parent
HEAVY = ("torch", "transformers", "scipy.stats", "numba", "sklearn", "matplotlib")


@pytest.mark.parametrize(
    "modules",
    [
        "kencore",
        "kencore.settings.prune, kencore.pruning.prune, kencore.data.text",
        "kencore.runs.run, kencore.views.window, kencore.views.sparsity, kencore.explain",
        "app.app_pages.sparsity.parts, app.app_pages.overview.tables, app.forms.prune, "
        "app.forms.prune_language, app.data.answers, app.app_pages.story.pictures, app.parts.explain",
    ],
)
def test_what_the_web_process_imports_is_light(modules: str) -> None:
    code = f"import sys, {modules}; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert found.stdout.strip() == "[]"
