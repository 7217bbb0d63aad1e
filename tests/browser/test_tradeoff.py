"""The trade-off page in a browser: a point opens its run, and a sweep ends in its curve."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from kencore.sweeps.shelf import Sweep, list_sweeps
from tests.browser.conftest import ROOT, TALL, App, running, visit
from tests.browser.steps import SLOW, charts_stay_inside, click_point, copied, find_point, plot, press, settle, until
from tests.support.sweeps import make_sweep


@dataclass(frozen=True)
class Swept:
    """A running app whose store has one sweep."""

    url: str
    sweep: Sweep


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    home = tmp_path_factory.mktemp("swept-home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KENVIZ_HOME", str(home))
        sweep = make_sweep(
            tmp_path_factory.mktemp("pair"), methods=("delta", "random"), keeps=(0.5, 0.25, 0.1), seeds=(0, 1)
        )
        assert len(sweep.points)
    with running(home, home / "no assets") as url:
        yield Swept(url, sweep)


def opened(browser: Browser, swept: Swept) -> Page:
    context = browser.new_context(base_url=swept.url, viewport=TALL)
    page = context.new_page()
    page.set_default_timeout(30_000)
    return page


def test_a_point_opens_its_run_and_back_leads_back(browser: Browser, swept: Swept) -> None:
    page = opened(browser, swept)
    visit(page, f"tradeoff?sweep={swept.sweep.id}")
    key = "tradeoff-accuracy-share-linear"
    trace, point = find_point(plot(page, key), "Largest difference", 0.25)
    click_point(page, key, trace, point)
    page.wait_for_url(re.compile(f"run=sweep-{swept.sweep.id}-delta-0.25-s0"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Largest difference keeps")
    page.get_by_role("link", name="A point of a sweep").click()
    page.wait_for_url(re.compile("/tradeoff"))
    plot(page, "tradeoff-accuracy-share-linear")
    settle(page)  # a click that is remembered would lead away again
    assert "/tradeoff" in page.url
    page.context.close()


def test_everything_stays_inside_the_page(browser: Browser, swept: Swept) -> None:
    page = opened(browser, swept)
    visit(page, f"tradeoff?sweep={swept.sweep.id}")
    plot(page, "tradeoff-accuracy-share-linear")
    charts_stay_inside(page)
    page.context.close()


def test_a_prepared_form_opens_in_another_profile_and_back_takes_it_back(browser: Browser, swept: Swept) -> None:
    here = visit(opened(browser, swept), f"tradeoff?sweep={swept.sweep.id}")
    plot(here, "tradeoff-accuracy-share-linear")
    here.get_by_role("radio", name="New sweep").click()
    press(here, "Remove KEN")
    here.wait_for_url(re.compile("methods=delta%2Crandom"))
    shares = here.get_by_role("combobox", name="Shares that are kept")
    shares.fill("33.3")
    shares.press("Enter")
    here.wait_for_url(re.compile("keeps=.*0.333"))
    shares.press("Escape")  # the list of options lies over the page
    there = opened(browser, swept)
    there.goto(copied(here))
    for page in (here, there):
        expect(page.get_by_role("radio", name="New sweep")).to_be_checked()
        expect(page.get_by_role("button", name="Remove 33.3")).to_be_visible()
        expect(page.get_by_role("button", name="Remove Random")).to_be_visible()
        expect(page.get_by_role("button", name="Remove KEN")).to_have_count(0)
    here.go_back()
    expect(here.get_by_role("button", name="Remove 33.3")).to_have_count(0)
    here.go_back()
    expect(here.get_by_role("button", name="Remove KEN")).to_be_visible()
    here.go_back()  # to the curve, whose address has no word of the form
    plot(here, "tradeoff-accuracy-share-linear")
    assert "methods" not in here.url
    for page in (here, there):
        page.context.close()


def measure_on_few(page: Page, folder: Path) -> None:
    """Measure on the first sentences alone, so that a point takes a moment."""
    lines = (ROOT / "assets" / "demo" / "sentences.tsv").read_text("utf-8").splitlines()
    (folder / "few.tsv").write_text("\n".join(lines[:25]) + "\n", "utf-8")
    choice = page.get_by_role("combobox", name="Labelled sentences")
    choice.fill(str(folder / "few.tsv"))
    choice.press("Enter")


def test_a_sweep_is_started_and_its_curve_is_there_when_it_ends(tab: Page, app: App, tmp_path: Path) -> None:
    visit(tab, "tradeoff?view=new")
    measure_on_few(tab, tmp_path)
    for name in ("KEN", "Random", "75 %", "50 %", "10 %"):  # two points are enough
        press(tab, f"Remove {name}")
    tab.get_by_text("Compare with baselines").click()
    expect(tab.get_by_text("2 prunings")).to_be_visible()
    press(tab, "Start sweep")
    tab.wait_for_url(re.compile("sweep="))
    expect(tab.get_by_text("2 of 2 points done")).to_be_visible(timeout=SLOW)
    find_point(plot(tab, "tradeoff-accuracy-share-linear"), "Largest difference", 0.25)
    with app.store():
        (sweep,) = list_sweeps()
    assert (sweep.done, sweep.failed) == (2, 0)
    assert f"sweep={sweep.id}" in tab.url
    until(tab, lambda: [job.state for job in app.jobs("sweep")] == ["succeeded"], "the job's end")
    press(tab, "Delete")
    press(tab, "Delete this sweep")
    expect(tab.get_by_role("button", name="Sweep the demo")).to_be_visible()
    with app.store():
        assert list_sweeps() == []
