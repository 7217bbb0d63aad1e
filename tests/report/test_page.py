"""The page: it needs nothing else, says what it should, and nothing in a run becomes markup."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from kencore.errors import IncomparableRunsError, RunExistsError, RunNotFoundError, StoreNotWritableError
from kencore.report import report
from kencore.report.build import build
from kencore.report.page import html
from kencore.report.sections.glance import at_a_glance
from kencore.report.sections.made import how_made
from kencore.report.style import colors, contrast
from kencore.runs.run import Run, open_run
from kencore.system import whole
from kencore.views.flips import chosen
from kencore.views.tables import totals
from tests.app.charts.test_quality import measured
from tests.report.pages import Page, parse
from tests.support.runs import make_lm_run, make_run

EVIL = "<img src=x onerror=alert(1)>\"'&amp;</style><script>alert(2)</script>"
LIMIT = 3_000_000  # bytes


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_lm_run(tmp_path_factory.mktemp("language"))


def test_only_the_script_of_the_map_runs(sample: Run) -> None:
    made = build(sample, interactive=True)
    text = html(made)
    page = parse(text)
    policy = next(meta["content"] for meta in page.named("meta") if "http-equiv" in meta)
    (live,) = made.live
    digest = b64encode(sha256(live.script.encode()).digest()).decode()
    assert policy.endswith(f"; script-src 'sha256-{digest}'")
    assert page.named("script") == [{"type": "application/json", "id": live.data_id}, {}]
    data = text.partition(f'id="{live.data_id}">')[2].partition("</script>")[0]
    assert json.loads(data) == json.loads(live.data)
    assert html(build(sample, interactive=True)) == text


@pytest.mark.parametrize("name", ["demo", "demo-lm"])
def test_a_shipped_run_gives_a_whole_page_that_needs_nothing_else(name: str) -> None:
    text = html(build(open_run(name)))
    page = parse(text)
    assert len(text.encode()) < LIMIT
    policy = next(meta for meta in page.named("meta") if "http-equiv" in meta)
    assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src")
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "form"}
    for tag, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on")], tag
        for key in ("src", "href", "xlink:href"):
            if key in attributes:
                assert attributes[key].startswith(("#", "data:image/png;base64,")), tag
    assert not re.search(r"url\((?!#)|@import", text)
    for link in page.named("a"):
        assert f'id="{link["href"][1:]}"' in text


def test_changed_answers_are_counted_and_the_worst_are_named() -> None:
    page = parse(html(build(open_run("demo"))))
    assert "29 sentences went wrong, 17 came right." in page.texts
    lines = chosen(open_run("demo").flips(), "right-wrong", 10)
    rows = page.tables["flips-right-wrong"][1:]
    assert [row[0] for row in rows] == list(lines["text"])
    assert [row[1] for row in rows] == list(lines["truth"])
    assert [row[-1] for row in rows] == [f"{kl:.3f}" for kl in lines["kl"]]


@pytest.mark.parametrize("name", ["demo", "demo-lm"])
def test_structure_for_screen_readers(name: str) -> None:
    page = parse(html(build(open_run(name))))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - first <= 1 for first, later in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    pictures = page.named("svg")
    assert len(pictures) >= 5
    for picture in pictures:
        assert picture["role"] == "img"
        assert set(picture["aria-labelledby"].split()) <= set(ids)
    tables = len(page.named("table"))
    assert len(page.named("caption")) == tables
    assert all(head["scope"] in ("col", "row") for head in page.named("th"))
    for rows in page.tables.values():
        assert len({len(row) for row in rows}) == 1


def test_notes_stand_at_the_head_and_nowhere_else(sample: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sample.path, tmp_path / "run"))
    record = json.loads((folder / "record.json").read_text("utf-8"))
    (folder / "record.json").write_text(json.dumps(record | {"notes": ["Read without model."]}))
    run = Run(folder)
    head = [getattr(block, "text", "") for block in at_a_glance(run, totals(run.matrices)).blocks]
    assert head[-1] == "Read without model."
    assert head[-2].startswith("In play were 99.9\xa0% of")
    assert "Read without model." not in [getattr(block, "text", "") for block in how_made(run).blocks]


@pytest.fixture(scope="module")
def written(language: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``a.html`` and the folder ``pictures``."""
    folder = tmp_path_factory.mktemp("written")
    report(language.path, folder / "a.html", figures=folder / "pictures")
    return folder


def test_the_same_run_gives_the_same_bytes(language: Run, written: Path, tmp_path: Path) -> None:
    again = report(language.path, tmp_path / "b.html", figures=tmp_path / "b")
    assert (written / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert again["files"] == len(list((written / "pictures").iterdir()))
    for file in (written / "pictures").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_every_picture_is_a_file_of_each_kind(language: Run, written: Path) -> None:
    made = build(language)
    assert {figure.name for figure in made.figures} >= {
        "kept-map",
        "roles",
        "quality",
        "sparsity-blocks",
        "search-block",
        "search-row",
        "kept-maps",
        "neighbours",
    }
    for figure in made.figures:
        files = {end: written / "pictures" / f"{figure.name}.{end}" for end in ("png", "svg")}
        assert files["png"].read_bytes().startswith(b"\x89PNG")
        alone = files["svg"].read_text("utf-8")
        assert alone.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
        assert "var(" not in alone
        parse(alone)
        numbers = pd.read_csv(written / "pictures" / f"{figure.name}.csv")
        assert len(numbers) == len(figure.data)
    for table in made.tables:
        assert len(pd.read_csv(written / f"pictures/table-{table.name}.csv")) == len(table.frame())


def changed(run: Run, folder: Path, name: str = "changed", **files: Any) -> Run:
    """A copy of a run with other JSON files; those given as a function of what they held."""
    place = folder / name
    shutil.copytree(run.path, place)
    for stem, change in files.items():
        file = place / f"{stem}.json"
        held = json.loads(file.read_text("utf-8"))
        file.write_text(json.dumps(change(held)), "utf-8")
    return Run(place)


def test_nothing_of_a_run_becomes_markup(sample: Run, tmp_path: Path) -> None:
    def spec(held: dict[str, Any]) -> dict[str, Any]:
        return {"spec": held["spec"] | {"model": EVIL, "base": EVIL}, "versions": {EVIL: EVIL}}

    def record(held: dict[str, Any]) -> dict[str, Any]:
        sources = {side: {"text": EVIL, "revision": EVIL} for side in ("tuned", "base")}
        return held | {"notes": [EVIL], "device": EVIL, "sources": sources, "created": EVIL}

    def metrics(_: dict[str, Any]) -> dict[str, Any]:
        steps = {"dense": measured(0.8), "pruned": measured(0.7)}
        return {"examples": 400, "data": EVIL, **steps, "baselines": {EVIL: measured(0.6)}}

    run = changed(sample, tmp_path, spec=spec, record=record, metrics=metrics)
    table = run.matrices.assign(reason=EVIL)
    table.to_parquet(run.path / "matrices.parquet")
    evil = Run(run.path, name=EVIL)
    page = parse(html(build(evil, sample)))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"img", "script"}
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert page.text.count(EVIL) >= 10  # it is all there, as text
    assert EVIL in page.tables["not-pruned"][1][0]


def test_nothing_is_overwritten_unless_asked(sample: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    file.write_text("mine")
    with pytest.raises(RunExistsError):
        report(sample.path, file)
    assert file.read_text() == "mine"
    report(sample.path, file, force=True)
    assert file.read_text("utf-8").startswith("<!DOCTYPE html>")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunExistsError):
        report(sample.path, tmp_path / "folder", force=True)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "mine").touch()
    with pytest.raises(RunExistsError):
        report(sample.path, tmp_path / "new.html", figures=tmp_path / "pictures")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "folder", "pictures"]


def test_a_report_that_is_stopped_leaves_nothing(sample: Run, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(done: float, total: float, message: str) -> None:
        assert 0 <= done <= total
        if message.startswith("Drawing kept-maps"):
            raise StoppedError

    with pytest.raises(StoppedError):
        report(sample.path, tmp_path / "a.html", figures=tmp_path / "b", progress=stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunNotFoundError):
        report("no-such-run", tmp_path / "a.html")


def test_a_page_that_does_not_get_its_name_takes_its_pictures_along(
    sample: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = whole.publish

    def full(temporary: Path, place: Path) -> None:
        if place.suffix == ".html":
            raise OSError(28, "No space left on device")
        given(temporary, place)

    monkeypatch.setattr(whole, "publish", full)
    with pytest.raises(StoreNotWritableError):
        report(sample.path, tmp_path / "a.html", figures=tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_measured_is_said(sample: Run, language: Run, tmp_path: Path) -> None:
    def bullets(page: Page) -> str:
        return page.text[page.text.rindex("What was not measured") :]

    bare = parse(html(build(sample)))
    assert bare.cards["Quality"] == ["not measured"]
    assert "Quality of the pruned and the dense model." in bullets(bare)
    assert "keep 0.5 and seed 0" in bullets(bare)
    whole = bullets(parse(html(build(language))))
    assert "perplexity says little about them" in whole
    tasks = changed(
        sample,
        tmp_path,
        metrics=lambda _: {
            "zero_shot": {
                "harness": "0.4.13",
                "limit": None,
                "tasks": ["boolq"],
                "pruned": {"boolq": {"acc": 0.6, "examples": 20, "seconds": 1.0}},
            }
        },
    )
    page = parse(html(build(tasks)))
    assert page.tables["zero-shot"][1][:3] == ["boolq", "pruned", "acc 0.6"]
    assert page.cards["Quality"] == ["not measured"]


def test_beside_another_run(sample: Run, language: Run, tmp_path_factory: Any) -> None:
    other = make_run(tmp_path_factory.mktemp("other"), method="magnitude", keep=0.25)
    page = parse(html(build(sample, other)))
    both, either = 0, 0
    for name in sample.pruned:
        first, second = sample.keep(name), other.keep(name)
        both, either = both + int((first & second).sum()), either + int((first | second).sum())
    assert f"Both runs keep {100 * both / either:.1f}\u00a0%" in page.text
    assert ["method", "ken", "magnitude"] in page.tables["differing"]
    assert ["keep", "0.5", "0.25"] in page.tables["differing"]
    assert "Quality cannot be compared: neither was measured" in page.text
    with pytest.raises(IncomparableRunsError):
        build(sample, language)
    with pytest.raises(IncomparableRunsError):
        build(sample, sample)


@pytest.mark.parametrize("theme", ["LIGHT", "DARK"])
def test_letters_can_be_read_on_every_colour(theme: str) -> None:
    from kencore.words import palette

    found = colors(getattr(palette, theme))
    for i in range(10):
        assert contrast(found[f"on{i}"], found[f"s{i}"]) >= 4.5
    for name in ("text", "muted", "primary"):
        assert contrast(found[name], found["background"]) >= 4.5
        assert contrast(found[name], found["surface"]) >= 4.5
