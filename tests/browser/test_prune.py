"""From the first screen to a finished run: the real app, the real worker, the demo's models."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from kencore.runs.naming import describe
from kencore.runs.run import Run, open_run
from kencore.views.compare.masks import compare
from tests.browser.conftest import App, new_profile, visit
from tests.browser.steps import SLOW, keep, measure_for_long, measure_nothing, panel, press


def test_the_first_screen_is_the_demo_already_pruned(tab: Page) -> None:
    visit(tab, "")
    expect(tab.get_by_role("heading", level=1)).to_contain_text("KEN keeps")
    tab.locator(".st-key-model-map .js-plotly-plot .main-svg").first.wait_for()


def test_inspecting_says_what_the_demo_is_made_of(tab: Page) -> None:
    visit(tab, "prune")
    press(tab, "Inspect")
    expect(tab.get_by_text("BertForSequenceClassification")).to_be_visible(timeout=SLOW)
    expect(tab.get_by_text("1.4\xa0M").first).to_be_visible()
    assert "inspect=" in tab.url


def test_a_double_click_is_one_job_that_ends_in_a_run(tab: Page, app: App) -> None:
    visit(tab, "prune")
    measure_nothing(tab)
    keep(tab, 10)
    tab.get_by_role("button", name="Start pruning").dblclick()
    job = panel(tab)
    expect(tab.get_by_text("Finished in")).to_be_visible(timeout=SLOW)
    mine = [found for found in app.jobs() if found.params["keep"] == 0.6]
    assert [found.id for found in mine] == [job]
    assert (app.home / "runs" / job / "masks.safetensors").is_file()

    second = tab.context.new_page()  # another tab sees the job and the run
    visit(second, "prune")
    label = second.get_by_text(describe({"model": "demo", "method": "ken", "keep": 0.6}))
    expect(label).to_have_count(1)  # in the list of jobs; runs have a page of their own
    second.close()

    tab.get_by_role("link", name="Open the run").click()
    tab.wait_for_url(re.compile(f"run={job}"))
    expect(tab.get_by_role("heading", level=1)).to_contain_text("quality was not measured")


def test_a_reload_finds_the_running_job_and_a_second_tab_cancels_it(tab: Page, app: App, tmp_path: Path) -> None:
    visit(tab, "prune")
    measure_for_long(tab, tmp_path)
    keep(tab, -20)
    press(tab, "Start pruning")
    job = panel(tab)
    expect(tab.get_by_role("button", name="Cancel")).to_be_visible(timeout=SLOW)
    tab.reload()
    expect(tab.get_by_text(describe({"model": "demo", "method": "ken", "keep": 0.3})).first).to_be_visible()
    assert panel(tab) == job

    second = tab.context.new_page()
    visit(second, "prune")
    second.get_by_role("button", name="Show").first.click()
    assert panel(second) == job
    press(second, "Cancel")
    expect(second.get_by_text("Cancelled. Nothing was written.")).to_be_visible(timeout=SLOW)
    expect(tab.get_by_text("Cancelled. Nothing was written.")).to_be_visible(timeout=SLOW)
    assert next(found for found in app.jobs() if found.id == job).state == "cancelled"
    assert not (app.home / "runs" / job).exists()


def test_a_wrong_folder_is_a_message_and_loses_nothing(tab: Page) -> None:
    visit(tab, "prune")
    tab.get_by_text("My own models", exact=True).click()
    tab.get_by_role("textbox", name="Tuned model", exact=True).fill("/no/such/folder")
    tab.get_by_role("textbox", name="Its base model", exact=True).fill("/no/such/base")
    keep(tab, 5)
    press(tab, "Start pruning")
    alert = tab.get_by_test_id("stAlert")
    expect(alert).to_contain_text("/no/such/folder", timeout=SLOW)
    expect(tab.get_by_role("textbox", name="Tuned model", exact=True)).to_have_value("/no/such/folder")
    expect(tab.get_by_role("textbox", name="Its base model", exact=True)).to_have_value("/no/such/base")
    expect(tab.get_by_role("slider", name="Kept of each row")).to_have_value("55")


def test_a_missing_base_is_said_before_any_job(tab: Page, app: App) -> None:
    before = len(app.jobs())
    visit(tab, "prune")
    tab.get_by_text("My own models", exact=True).click()
    tab.get_by_role("textbox", name="Tuned model", exact=True).fill("/models/tuned")
    press(tab, "Start pruning")
    expect(tab.get_by_test_id("stAlert")).to_contain_text("no base model")
    expect(tab.get_by_role("textbox", name="Tuned model", exact=True)).to_have_value("/models/tuned")
    assert len(app.jobs()) == before


def heading(page: Page) -> str:
    title = page.get_by_role("heading", level=1)
    expect(title).to_contain_text("agree on")
    return title.inner_text()


def test_one_click_from_the_demo_to_a_comparison_that_is_a_link(tab: Page, app: App) -> None:
    earlier = app.jobs()  # other tests share this store
    visit(tab, "?open=rules")
    for name in ("Largest magnitude", "Random"):  # one job is enough here
        press(tab, name)
    press(tab, "Compare with Largest difference")
    tab.wait_for_url(re.compile(r"compare\?"))
    expect(tab.get_by_role("heading", level=1)).to_contain_text("agree on", timeout=SLOW)
    said, before = heading(tab), {job.id for job in earlier}
    (job,) = (job for job in app.jobs() if job.id not in before)
    assert f"other={job.id}" in tab.url
    found = compare([open_run("demo"), Run(app.home / "runs" / job.id)])
    assert f"{100 * found.overall().jaccard:.1f}" in said
    assert job.params["method"] == "delta"

    fresh = new_profile(tab.context.browser, app.url)  # type: ignore[arg-type]
    other = fresh.new_page()
    visit(other, tab.url)
    expect(other.get_by_role("heading", level=1)).to_have_text(said, timeout=SLOW)
    fresh.close()


def test_a_text_that_is_not_there_is_a_message(tab: Page, app: App) -> None:
    visit(tab, "prune")
    tab.get_by_role("radio", name="Demo language model").click()
    text = tab.get_by_role("combobox", name="Text", exact=True)
    text.fill("/no/such/text.txt")
    text.press("Enter")
    press(tab, "Start pruning")
    expect(tab.get_by_test_id("stAlert")).to_contain_text("/no/such/text.txt", timeout=SLOW)
    expect(tab.get_by_role("slider", name="Sparsity")).to_have_value("50")
