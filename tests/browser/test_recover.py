"""A run is pruned, tuned after pruning and opened; its subnetwork file is downloaded."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from kencore.exports.subnetwork.open import open_subnetwork
from kencore.runs.run import Run
from tests.browser.conftest import ROOT, App, new_profile, visit
from tests.browser.steps import SLOW, copied, holds, keep, measure_nothing, panel, press

STEPS = 20  # one for each time through so few sentences
LONG = 10_000  # so many that the live curve is still there when it is looked at
TUNED = re.compile(f"^Tuned for {STEPS} steps")


def set_number(page: Page, name: str, value: int) -> None:
    field = page.get_by_role("spinbutton", name=name)
    field.fill(str(value))
    field.press("Enter")


def learn_from_few(page: Page, folder: Path) -> None:
    """Two dozen sentences, so that a tuning takes moments: one step for each time through them."""
    lines = (ROOT / "assets" / "demo" / "sentences.tsv").read_text("utf-8").splitlines()
    (folder / "few.tsv").write_text("\n".join(lines[:24]), "utf-8")
    choice = page.get_by_role("combobox", name="What it learns from")
    choice.fill(str(folder / "few.tsv"))
    choice.press("Enter")


def test_from_a_pruned_run_to_the_tuned_one(tab: Page, app: App, tmp_path: Path) -> None:
    visit(tab, "prune")
    measure_nothing(tab)
    keep(tab, -25)
    press(tab, "Start pruning")
    pruned = panel(tab)
    expect(tab.get_by_text("Finished in")).to_be_visible(timeout=SLOW)

    visit(tab, f"recover?run={pruned}")
    learn_from_few(tab, tmp_path)
    set_number(tab, "Times through the data", LONG)
    tab.get_by_role("button", name="Start recovery").dblclick()
    long = panel(tab)
    tab.locator(".st-key-recover-live .js-plotly-plot .main-svg").first.wait_for(timeout=SLOW)
    press(tab, "Cancel")
    expect(tab.get_by_text("Cancelled. No run was written.")).to_be_visible(timeout=SLOW)
    assert [found.id for found in app.jobs("tune")] == [long]

    set_number(tab, "Times through the data", STEPS)
    press(tab, "Start recovery")
    tab.wait_for_url(lambda address: "job=" in address and long not in address)
    job = panel(tab)
    expect(tab.get_by_text("Finished in")).to_be_visible(timeout=SLOW)

    expect(tab.get_by_role("heading", level=2).last).to_have_text(TUNED)
    tab.locator(".st-key-recover-curve .js-plotly-plot .main-svg").first.wait_for()
    tab.get_by_role("link", name="Open the run").click()
    tab.wait_for_url(re.compile(f"run={job}"))
    expect(tab.get_by_text(f"Tuned for {STEPS} steps after pruning")).to_be_visible()
    tab.get_by_role("link", name="How it was tuned").click()
    tab.wait_for_url(re.compile(f"recover.*run={job}"))
    expect(tab.get_by_role("heading", level=1)).to_have_text(TUNED)
    before, after = (Run(app.home / "runs" / name) for name in (pruned, job))
    told = after.tuning
    assert told
    assert (told["steps"], told["parent"]["id"]) == (STEPS, pruned)
    for name in before.pruned:
        assert (after.mask_bits(name) == before.mask_bits(name)).all()


def test_a_prepared_form_opens_in_another_profile_and_back_takes_it_back(
    tab: Page, app: App, browser: Browser, tmp_path: Path
) -> None:
    visit(tab, "recover?run=demo")
    learn_from_few(tab, tmp_path)
    set_number(tab, "Times through the data", 4)
    tab.get_by_text("Kept weights alone").click()
    assert holds("epochs=4", "train=kept")(copied(tab))
    tab.get_by_role("radio", name="Other data").click()
    tab.wait_for_url(re.compile("held_out"))
    tab.get_by_role("radio", name="A share of it, kept apart").click()
    expect(tab).not_to_have_url(re.compile("held_out"))
    other = new_profile(browser, app.url)
    there = other.new_page()
    visit(there, copied(tab))
    for page in (tab, there):
        expect(page.get_by_role("spinbutton", name="Times through the data")).to_have_value("4")
        expect(page.get_by_role("radio", name="Kept weights alone")).to_be_checked()
        data = page.get_by_role("combobox", name="What it learns from")
        expect(data).to_have_value(str(tmp_path / "few.tsv"))
    other.close()
    tab.go_back()
    expect(tab.get_by_role("radio", name="Other data")).to_be_checked()


def test_a_subnetwork_file_is_downloaded_and_gives_the_model_back(tab: Page, app: App, tmp_path: Path) -> None:
    visit(tab, "?open=export")
    tab.locator(".st-key-export-subnetwork").get_by_role("button").click()
    tab.wait_for_url(re.compile("export="))
    link = tab.get_by_role("link", name=re.compile("Download"))
    expect(link).to_be_visible(timeout=SLOW)
    with tab.expect_download() as found:
        link.click()
    path = tmp_path / "file.safetensors"
    found.value.save_as(path)
    assert found.value.suggested_filename == "demo.subnetwork.safetensors"
    with app.store():
        from kencore.runs.run import open_run

        wanted = open_run("demo").apply()
        restored = open_subnetwork(path)
    assert restored.keys() == wanted.keys()
    assert all(restored[name].equal(wanted[name]) for name in wanted)
