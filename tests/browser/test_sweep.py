"""A sweep of the demo from its form to its curve, with the real worker."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from kencore.sweeps.shelf import list_sweeps
from tests.browser.conftest import ROOT, App, visit
from tests.browser.steps import SLOW, find_point, plot, press, until


def measure_on_few(page: Page, folder: Path) -> None:
    """Measure on the first sentences alone, so that a point takes a moment."""
    lines = (ROOT / "assets" / "demo" / "sentences.tsv").read_text("utf-8").splitlines()
    (folder / "few.tsv").write_text("\n".join(lines[:25]) + "\n", "utf-8")
    choice = page.get_by_role("combobox", name="Labeled sentences")
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
