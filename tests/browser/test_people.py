"""Several people, one server: what one does, another never sees; and the way back."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import App, new_profile, visit

RUNS = {"demo": ("demo encoder", "KEN"), "demo-lm": ("demo lm", "Wanda")}


def shows(page: Page, run: str) -> None:
    """The picker and the page's own heading speak of this run."""
    label, method = RUNS[run]
    expect(page.get_by_role("combobox", name="Run")).to_have_value(re.compile(label, re.I))
    expect(page.get_by_role("heading", level=1)).to_contain_text(method)


def menu(page: Page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()


def test_two_people_with_different_runs_at_once(app: App, browser: Browser) -> None:
    contexts = [new_profile(browser, app.url) for _ in RUNS]
    people = dict(zip(RUNS, [context.new_page() for context in contexts], strict=True))
    for run, page in people.items():
        visit(page, f"?run={run}")
    for run, page in people.items():
        shows(page, run)
    for name in ("Layers", "Sparsity", "Overview"):  # in turns, so that each is in the other's way
        for page in people.values():
            menu(page, name)
        for run, page in people.items():
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            page.wait_for_url(f"**run={run}*")
    for run, page in people.items():
        shows(page, run)
    for context in contexts:
        context.close()


def test_back_leads_through_the_pages_that_were_seen(tab: Page) -> None:
    visit(tab, "?run=demo")
    first = tab.get_by_role("heading", level=1).inner_text()
    menu(tab, "Sparsity")
    tab.wait_for_url("**/sparsity**")
    expect(tab.get_by_role("heading", level=1)).not_to_have_text(first)
    second = tab.get_by_role("heading", level=1).inner_text()
    menu(tab, "Recover")
    tab.wait_for_url("**/recover**")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Recover what pruning lost")
    tab.wait_for_url("**/recover?run=demo")
    tab.go_back()  # once: naming the run in the address is no step of its own
    tab.wait_for_url("**/sparsity?run=demo")
    expect(tab.get_by_role("heading", level=1)).to_have_text(second)
    tab.go_back()
    expect(tab.get_by_role("heading", level=1)).to_have_text(first)
    assert "/sparsity" not in tab.url
