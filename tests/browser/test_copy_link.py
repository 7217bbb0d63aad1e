"""Copy link: what is copied opens the same view for somebody else."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import NewPage, Server, visit
from tests.browser.steps import copied, holds

MATRIX = "bert.encoder.layer.1.intermediate.dense.weight"


def test_a_copied_link_opens_the_same_window_in_a_new_profile(new_page: NewPage, server: Server) -> None:
    here = visit(new_page(), f"matrix?run=sample&matrix={MATRIX}&r0=8&r1=24&c0=4&c1=20&layer=base")
    there = new_page(stranger=True)
    visit(there, copied(here))
    for page in (here, there):
        expect(page.get_by_role("heading", level=1)).to_contain_text("Block 1 feed-forward, first")
        expect(page.get_by_role("radio", name="Base")).to_have_attribute("aria-checked", "true")
    there.wait_for_url(holds(f"matrix={MATRIX}", "r0=8", "r1=24", "c0=4", "c1=20", "layer=base"))


def test_a_link_names_the_run_that_was_shown_without_being_chosen(new_page: NewPage) -> None:
    page = visit(new_page(), "")
    shown = page.get_by_role("combobox", name="Run").input_value()
    link = copied(page)
    assert "run=" in link
    other = new_page(stranger=True)
    visit(other, link)
    expect(other.get_by_role("combobox", name="Run")).to_have_value(shown)


def test_without_a_clipboard_the_address_can_be_taken_by_hand(new_page: NewPage) -> None:
    page = new_page(stranger=True)
    page.add_init_script(
        "Object.defineProperty(navigator, 'clipboard', {value: undefined});document.execCommand = () => false;"
    )
    visit(page, "layers?run=sample")
    page.get_by_role("button", name="Copy link").click()
    field = page.get_by_role("textbox", name="Address of this view")
    expect(field).to_be_focused()
    expect(field).to_have_value(page.url)


def test_an_address_opens_the_same_view_in_another_profile(new_page: NewPage) -> None:
    here = visit(new_page(), "prune")
    here.get_by_text("Largest difference", exact=True).first.click()
    here.get_by_role("slider", name="Kept of each row").press("ArrowLeft")
    here.get_by_role("radio", name="Weights per row (k)").click()  # reports the others
    here.get_by_role("radio", name="Share of each row").click()
    here.wait_for_url("**keep=0.49**")
    there = new_page(stranger=True)
    visit(there, here.url)
    expect(there.get_by_role("radio", name="Largest difference")).to_be_checked()
    expect(there.get_by_role("slider", name="Kept of each row")).to_have_value("49")
    here.go_back()
    expect(here).not_to_have_url(there.url)
