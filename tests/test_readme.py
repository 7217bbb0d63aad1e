"""Docs are tests: the documents' commands, options, links, Python and tables are what there is."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from app.shell import MENU
from kencore.allocate.table import ALLOCATIONS
from kencore.cli.main import app
from kencore.methods.table import METHODS
from kencore.runs import FILES, OPTIONAL
from kencore.runs.writer import MATRICES_SCHEMA, ROWS_SCHEMA
from kencore.settings.prune import BUDGETS, REFINEMENTS, RESCALES, PruneSpec
from tests.conftest import ROOT

PAGES_OF_DOCS = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = tuple(
    str(path.relative_to(ROOT)) for path in (*sorted(ROOT.glob("*.md")), *PAGES_OF_DOCS, ROOT / "assets/demo/README.md")
)
CHOICES = {"method", "rescale", "allocation", "step", "reference", "refine", "propagate"}
ODD = ("fader", "equali", "hang on", "hangs on", "gone on with", "goes on with", "what it comes to")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str, language: str = "[a-z]*") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text_of(document), re.M | re.S)


def commands(start: str) -> list[tuple[str, list[str]]]:
    """(document, words after ``start``) of every command in a code block or between backticks."""
    found = []
    for document in DOCUMENTS:
        lines = [line for block in blocks(document) for line in _joined(block).splitlines()]
        lines += re.findall(r"`([^`\n]+)`", text_of(document))
        for line in lines:
            if line.strip().startswith(start):
                words = shlex.split(line.strip().removeprefix(start), comments=True)
                found.append((document, words))
    return found


def _joined(block: str) -> str:
    return block.replace("\\\n", " ")


def parsed(words: list[str]) -> dict[str, Any]:
    """The parameters of a command; what it does not know is a usage error."""
    found: dict[str, Any] = COMMANDS[words[0]].make_context(words[0], list(words[1:])).params
    return found


GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = {name: command for name, command in GROUP.commands.items() if not command.hidden}
CLI = commands("python -m kencore ")
SCRIPTS = commands("python ")


def test_there_are_commands_to_look_at() -> None:
    assert {words[0] for _, words in CLI} == set(COMMANDS)
    assert {"README.md", "docs/cli.md", "docs/tuning.md"} <= {document for document, _ in CLI}


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 160


@pytest.mark.parametrize(("document", "words"), CLI)
def test_the_command_line_knows_it(document: str, words: list[str]) -> None:
    if all("..." not in word for word in words):  # else named, not written out
        parsed(words)


@pytest.mark.parametrize(("document", "words"), [c for c in CLI if c[1][0] == "prune"])
def test_the_settings_are_such_that_can_be(document: str, words: list[str]) -> None:
    given = parsed(words)
    keep = given["keep"] if given["sparsity"] is None else 1 - given["sparsity"]
    chosen = {name: given[name] for name in CHOICES}
    sizes = {name: given[name] for name in (*BUDGETS, "code", "evaluation")}
    PruneSpec(model=given["model"], base=given["base"], keep=keep, k=given["k"], **chosen, **sizes)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_stands_in_the_section_of_its_command(name: str) -> None:
    sections = re.split(r"^## ", text_of("docs/cli.md"), flags=re.M)
    (section,) = [part for part in sections if part.startswith(f"{name}\n")]
    options = {
        option
        for parameter in COMMANDS[name].params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if option.startswith("-") and option != "--help"
    }
    said = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", section))
    assert options - said == set(), "an option that docs/cli.md does not name"
    assert {word for word in said if word.startswith("--")} - options == set()


@pytest.mark.parametrize(("document", "words"), [c for c in SCRIPTS if c[1] and c[1][0].endswith(".py")])
def test_scripts_are_there_and_have_the_options(document: str, words: list[str]) -> None:
    script = ROOT / words[0]
    text = script.read_text(encoding="utf-8")
    for option in (word for word in words if word.startswith("--")):
        assert f'"{option}"' in text, f"{document}: {script.name} has no {option}"


@pytest.mark.parametrize(("document", "words"), commands("make "))
def test_make_has_the_target(document: str, words: list[str]) -> None:
    makefile = text_of("Makefile")
    for word in words:
        name, _, value = word.partition("=")
        wanted = rf"^{name}\s*\?=" if value else rf"^{name}:"
        assert re.search(wanted, makefile, re.M), f"{document}: make {word}"


def python_blocks() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for block in blocks(document, "python"):
            yield document, block


@pytest.mark.parametrize(("document", "block"), list(python_blocks()))
def test_python_names_what_there_is(document: str, block: str) -> None:
    tree = ast.parse(block, document)
    known: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kencore"):
            module = importlib.import_module(str(node.module))
            known |= {name.asname or name.name: getattr(module, name.name) for name in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
            keywords = {word.arg: None for word in node.keywords if word.arg}
            inspect.signature(known[node.func.id]).bind(*node.args, **keywords)
    assert known, f"{document}: a block that imports nothing of kencore"


def anchors(path: Path) -> set[str]:
    """What a link into a document can lead to, as GitHub and the docs site name it."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"\s", "-", heading) for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(document)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        assert path.exists(), f"{document}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{document}: {target}"


def test_every_document_can_be_found_from_the_readme() -> None:
    linked = re.findall(r"\]\((docs/\w+\.md)\)", text_of("README.md"))
    assert set(linked) >= {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}


def test_the_site_has_every_page() -> None:
    site = tomllib.loads(text_of("zensical.toml"))["project"]
    pages = [
        page
        for entry in site["nav"]
        for found in entry.values()
        for page in ([found] if isinstance(found, str) else found)
    ]
    assert sorted(pages) == [str(path.relative_to(ROOT / "docs")) for path in PAGES_OF_DOCS]


def test_the_tables_of_files_name_every_file_and_column() -> None:
    text = text_of("docs/formats.md")
    columns = [*MATRICES_SCHEMA.names, *ROWS_SCHEMA.names]
    missing = [name for name in (*FILES, *OPTIONAL, *columns) if f"`{name}`" not in text]
    assert missing == []


def test_every_method_and_every_page_is_told() -> None:
    ways = [f"--rescale {name}" for name in RESCALES if name != "none"]
    ways += [f"--refine {name}" for name in REFINEMENTS if name != "none"]
    told = {
        "docs/methods.md": (*METHODS, *ALLOCATIONS, *ways),
        "docs/cli.md": (*METHODS, *ALLOCATIONS, *RESCALES, *REFINEMENTS),
    }
    for document, names in told.items():
        text = text_of(document)
        assert [name for name in names if f"`{name}`" not in text] == []
    labels = re.findall(r"^\| ([A-Z][\w-]+) \|", text_of("docs/app.md"), re.M)
    assert {name for pages in MENU.values() for _, name, _, _ in pages} <= set(labels)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_one_word_for_one_thing(document: str) -> None:
    text = text_of(document).lower()
    assert [odd for odd in ODD if odd in text] == []
