"""Every command that the documents name is one: its words, options and choices are known."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from kencore.cli.main import app
from kencore.settings.prune import PruneSpec
from tests.conftest import ROOT

DOCUMENTS = (
    "README.md",
    *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")),
    "assets/demo/README.md",
)
CHOICES = {"method", "rescale", "allocation", "step", "reference", "refine", "propagate"}


def commands(start: str) -> list[tuple[str, list[str]]]:
    """(document, words after ``start``) of every command in a code block or between backticks."""
    found = []
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, re.M | re.S)
        lines = [line for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", text)
        for line in lines:
            if line.strip().startswith(start):
                words = shlex.split(line.strip().removeprefix(start), comments=True)
                found.append((document, words))
    return found


def parsed(words: list[str]) -> dict[str, Any]:
    """The parameters of a command; what it does not know is a usage error."""
    group: Any = typer.main.get_command(app)
    found: dict[str, Any] = group.commands[words[0]].make_context(words[0], list(words[1:])).params
    return found


CLI = commands("python -m kencore ")
SCRIPTS = commands("python ")


def test_there_are_commands_to_look_at() -> None:
    assert {words[0] for _, words in CLI} >= {
        "prune",
        "inspect",
        "runs",
        "evaluate",
        "export",
        "open",
        "sweep",
        "sweeps",
        "tune",
    }


@pytest.mark.parametrize(("document", "words"), CLI)
def test_the_command_line_knows_it(document: str, words: list[str]) -> None:
    if all("..." not in word for word in words):  # else named, not written out
        parsed(words)


@pytest.mark.parametrize(("document", "words"), [c for c in CLI if c[1][0] == "prune"])
def test_the_settings_are_such_that_can_be(document: str, words: list[str]) -> None:
    given = parsed(words)
    keep = given["keep"] if given["sparsity"] is None else 1 - given["sparsity"]
    chosen = {name: given[name] for name in CHOICES}
    PruneSpec(model=given["model"], base=given["base"], keep=keep, k=given["k"], **chosen)


@pytest.mark.parametrize(("document", "words"), [c for c in SCRIPTS if c[1] and c[1][0].endswith(".py")])
def test_scripts_are_there_and_have_the_options(document: str, words: list[str]) -> None:
    script = ROOT / words[0]
    text = script.read_text(encoding="utf-8")
    for option in (word for word in words if word.startswith("--")):
        assert f'"{option}"' in text, f"{document}: {script.name} has no {option}"


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            if "://" not in target:
                assert (Path(ROOT / document).parent / target).exists(), f"{document}: {target}"
