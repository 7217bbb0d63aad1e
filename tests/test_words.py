"""One word for one thing, and one spelling, wherever a person reads: texts of the app and the library."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STORY = "app/app_pages/story"  # says "values" and "weights" in its own way
SOURCES = sorted(path for room in ("app", "kencore") for path in (ROOT / room).rglob("*.py"))
SHOWN = [path for path in SOURCES if not str(path.relative_to(ROOT)).startswith(STORY)]

BRITISH = re.compile(
    r"\b(colour|neighbour|behaviour|favour|grey\b|centre\b|licence\b|(un)?labelled\b|generalis|normalis|recognis"
    r"|optimis|initialis|summaris|analys(e|ing)\b)",
    re.IGNORECASE,
)
ENTRY = re.compile(r"\b(kept|pruned|reset|every|of the|of its|an|\d+) entr(y|ies)\b(?! points?)", re.IGNORECASE)
PARAMETER = re.compile(r"\b(kept|pruned|bit per|every|all) parameters?\b", re.IGNORECASE)
RECOVERY = re.compile(r"\buntuned\b|\btuned run\b", re.IGNORECASE)


@cache
def texts(path: Path) -> list[tuple[int, str]]:
    """Line and text of every string that is prose; what documents the code is not shown to anybody."""
    tree = ast.parse(path.read_text("utf-8"))
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and id(node) not in documents
        if isinstance(node.value, str) and " " in node.value.strip()
    ]


RULES = {"spelling": BRITISH, "entry": ENTRY, "parameter": PARAMETER, "recovery": RECOVERY}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_texts_of_the_app_and_the_library_use_one_word(rule: re.Pattern[str]) -> None:
    odd = [
        f"{path.relative_to(ROOT)}:{line}: {text[:60]!r}"
        for path in SHOWN
        for line, text in texts(path)
        if rule.search(text)
    ]
    assert odd == []
