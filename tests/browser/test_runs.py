"""The table of runs in a browser: choose a row, name the run, delete it."""

from __future__ import annotations

import shutil

from playwright.sync_api import Page, expect

from tests.browser.conftest import App, visit
from tests.browser.steps import press
from tests.support.runs import make_run


def choose_last(tab: Page, rows: int) -> None:
    """Click at the left edge of a row of the table, which is a canvas."""
    head, line = 36, 35
    tab.locator(".st-key-runs-wide").get_by_test_id("stDataFrame").click(
        position={"x": 22, "y": head + line * (rows - 0.5)}
    )


def test_a_run_is_named_and_deleted_after_a_second_question(tab: Page, app: App) -> None:
    for folder in (app.home / "runs").glob("*"):
        shutil.rmtree(folder)  # of other tests
    folder = app.home / "runs" / "unwanted"
    half = app.home / "runs" / ".unwanted"
    shutil.copytree(make_run(app.home / "made").path, half)
    half.rename(folder)  # whole at once, as runs come: the list reads a folder again when its parent has changed
    visit(tab, "runs")
    expect(tab.get_by_role("heading", level=1)).to_contain_text("3 runs")
    choose_last(tab, 3)
    tab.get_by_role("textbox", name="Name").fill("the unwanted one")
    tab.get_by_role("textbox", name="Name").press("Enter")
    expect(tab.locator("strong", has_text="the unwanted one")).to_be_visible()
    press(tab, "Delete")
    assert folder.is_dir()
    press(tab, "Delete this run")
    expect(tab.get_by_role("heading", level=1)).to_contain_text("2 runs")
    expect(tab.get_by_role("textbox", name="Name")).to_have_count(0)
    assert not folder.exists()
