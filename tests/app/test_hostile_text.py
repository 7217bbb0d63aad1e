"""Text that others wrote is text: no page makes a link, a picture or markup of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from markdown_it import MarkdownIt
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from app.frame import links, state
from kencore.cli.main import app as command_line
from kencore.report.build import build
from kencore.report.content import Report, Section, Text
from kencore.report.page import html
from kencore.runs.run import Run
from kencore.system import plain
from kencore.words import run as facts
from tests.app import explanations
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs
from tests.support.hostile import MATRIX, OUTSIDE, SITE, TEXT, make_hostile_run

runner = CliRunner()
MARKDOWN = MarkdownIt("commonmark").enable("strikethrough")
# what Streamlit shows as text, and what is looked at below in its own way
NO_MARKDOWN = {"options", "value", "default", "placeholder", "queryParams", "page", "id", "elementId", "rawOptions"} | {
    "queryString",
    "url",
}
LIVE = {"link_open", "image", "html_inline", "html_block", "code_inline"}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path / "results").install(monkeypatch)


@pytest.fixture
def hostile(store: Run, fake: FakeJobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    made = make_hostile_run(tmp_path / "hostile", monkeypatch)
    shutil.copytree(made.path, store.path.parent / "hostile")
    state.forget_runs()
    return Run(store.path.parent / "hostile")


def texts(found: Any, name: str = "") -> Iterator[str]:
    """Every text of an element that may be read as Markdown."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key not in NO_MARKDOWN:
                yield from texts(value, key)
    elif isinstance(found, list):
        for value in found:
            yield from texts(value, name)
    elif isinstance(found, str):
        yield found


def live(text: str) -> list[str]:
    """What in a text is more than text: what a Markdown parser makes of it, and addresses that it would link."""
    tokens = [token for block in MARKDOWN.parse(text) for token in [block, *(block.children or [])]]
    kinds = []
    for i, token in enumerate(tokens):
        inside = token.content + str(token.attrs) + (tokens[i + 1].content if i + 1 < len(tokens) else "")
        if token.type in LIVE and (SITE in inside or token.content == "c"):
            kinds.append(token.type)
    kinds += re.findall(rf"(?:https?://|www\.|\w@){re.escape(SITE)}", re.sub(r"\\(?=[^\w\s])", "", text))
    kinds += re.findall(r"(?<!\\):red\[|:material/delete:|[\x00-\x08\x0b-\x1f\x7f]", text)
    return kinds


def look(test: AppTest) -> int:
    """How many texts of a page hold hostile text, all of them harmless."""
    seen = 0
    for element in test.main:
        seen += _look(element)
    for element in test.sidebar:
        seen += _look(element)
    return seen


def _look(element: Any) -> int:
    if hasattr(element, "children"):
        own = getattr(element, "proto", None)
        inner = list(element.children.values())
        return sum(map(_look, inner)) + (_texts(own) if own is not None else 0)
    kind = element.type
    if kind in ("arrow_data_frame", "arrow_table", "dataframe", "table", "code", "bidi_component", "selectbox"):
        return 0  # text or JSON for what shows text
    proto = getattr(element, "proto", None)
    if kind == "plotly_chart":
        assert not re.search(r"<(?!/?(?:b|i|br|em|sub|sup|extra)\s*/?>)[a-z/]", proto.spec), proto.spec[:200]
        return SITE in proto.spec
    if kind == "html":
        assert not re.search(r"<(?:img|a|script|iframe)\b", proto.body), proto.body[:300]
        return SITE in proto.body
    return _texts(proto)


def _texts(proto: Any) -> int:
    seen = 0
    if not hasattr(proto, "DESCRIPTOR"):
        return 0
    for text in texts(MessageToDict(proto)):
        if SITE in text or "evil" in text:
            seen += 1
            assert live(text) == [], text
    return seen


PAGES = [
    *((page, {"matrix": MATRIX}) for page in links.PAGES if page not in ("compare", "tradeoff", "story")),
    *(("story", {"step": step}) for step in ("model", "matrix", "weight")),
    ("matrix", {"matrix": OUTSIDE}),
    ("matrix", {"matrix": f"no {TEXT}"}),
    ("row", {"matrix": MATRIX, "row": "3"}),
    ("map", {"at": MATRIX}),
    ("compare", {"a": "hostile", "b": "sample", "matrix": MATRIX}),
    ("tradeoff", {"sweep": TEXT}),
    ("overview", {"run": TEXT}),
    ("explain", {"text": TEXT}),
    ("prune", {"model": TEXT, "method": TEXT}),
]


def test_no_page_makes_more_than_text_of_a_name(open_page: OpenPage, hostile: Run) -> None:
    seen: dict[str, int] = {}
    for page, query in PAGES:
        test = open_page(page, **{"run": "hostile"} | query)
        assert not test.exception, (page, query, test.exception)
        seen[page] = seen.get(page, 0) + look(test)
    for page in ("overview", "matrix"):
        assert seen[page], page  # it is shown, harmless


def test_labels_and_tokens_of_an_answer_are_text(
    open_page: OpenPage, store: Run, fake: FakeJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explanations, "TOKENS", ["[CLS]", TEXT, "b", "[SEP]"])
    test = open_page("explain", run="sample", text=TEXT)
    next(button for button in test.button if button.label == "Ask").click().run()
    found = explanations.made(store, TEXT)
    found.facts["answers"][0]["text"] = found.facts["answers"][1]["text"] = TEXT
    (fake.results / "job0").mkdir(parents=True)
    found.save(fake.results / "job0")
    fake.change("job0", state="succeeded", started=1.0, finished=2.0)
    test.run()
    assert not test.exception
    assert SITE in test.title[0].value
    assert look(test) > 2


def test_the_command_line_prints_no_command_of_a_terminal(hostile: Run) -> None:
    model = json.loads((hostile.path / "spec.json").read_text())["spec"]["model"]
    for words in (
        ["inspect", model],
        ["runs"],
        ["compare", "hostile", "sample"],
        ["prune", "--model", TEXT, "--method", "ken", "--base", TEXT, "--keep", "0.5"],
        ["inspect", f"./{TEXT}"],
    ):
        said = runner.invoke(command_line, words).output
        assert said
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", said), words
        assert words[0] != "inspect" or words[1] == model or SITE in said


def test_the_report_makes_no_link_of_a_name(hostile: Run) -> None:
    page = html(build(hostile))
    assert SITE in page
    found = Tags()
    found.feed(page)
    assert {"html", "p", "figure"} <= {tag for tag, _ in found.seen}
    assert not [(tag, name) for tag, attrs in found.seen for name, value in attrs if _leads(name, value)]


class Tags(HTMLParser):
    """Every tag of a page with what stands in it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, attrs))


def _leads(name: str, value: str | None) -> bool:
    return name in ("href", "src", "xlink:href", "action", "srcdoc") and SITE in (value or "")


@pytest.mark.parametrize("text", ["plain text, with 50 % – and more", "a-b_c/d.txt", "Row 3 of block 1", "", "x = 1"])
def test_plain_text_reads_as_it_is(text: str) -> None:
    shown = "".join(t.content for b in MARKDOWN.parse(plain.markdown(text)) for t in b.children or [])
    assert shown == text
    assert plain.terminal(text) == plain.figure(text) == text


def test_a_line_begins_no_list_and_no_heading() -> None:
    for text in ("- x", "+ x", "1. x", "2) x", "# x", "> x", "x\n===", "x\n- y"):
        kinds = {token.type for token in MARKDOWN.parse(plain.markdown(text))}
        assert kinds <= {"paragraph_open", "inline", "paragraph_close"}, text
    assert plain.figure("<b>a</b><br><a href='x'>y</a>") == "<b>a</b><br>&lt;a href='x'>y&lt;/a>"


MARKS = "a\x1b[31mb\x07\u202ec\u2066"


def test_a_command_to_copy_and_a_report_hold_no_marks(hostile: Run) -> None:
    """Control characters would act in the terminal that a command is pasted into; marks of direction turn a text."""
    spec = replace(hostile.spec, model=f"./{MARKS}")
    assert facts.command(spec).count("�") == 4
    section = Section(name="a", title=MARKS, blocks=(Text(text=MARKS),))
    page = html(Report(run=MARKS, title=MARKS, subject=MARKS, made=MARKS, sections=(section,)))
    assert not set(page) & set("\x1b\x07\u202e\u2066")
    assert page.count("�") == 4 * 8
