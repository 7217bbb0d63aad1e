"""Every page, in both themes, examined by axe-core and measured: nothing grave, nothing cut off.

What axe can see (names, roles, contrast, structure) is tested here; keyboard paths are tested
beside the page that they belong to.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from app.frame import links
from tests.browser.conftest import visit
from tests.browser.steps import charts_stay_inside, findings, settle, until_true

PHONE = 390  # also what 1560 px of screen leave at 400 %

# page -> further addresses of it that look quite different
ADDRESSES = {name: [f"{links.link(name).removeprefix('./')}?run=demo"] for name in links.PAGES}
ADDRESSES["overview"].append("?run=demo-lm")
ADDRESSES["story"].append("story?run=demo&step=weight")
ADDRESSES["sparsity"].append("sparsity?run=demo-lm")
CHARTED = ("?", "row", "layers", "sparsity")  # addresses that begin so always have charts
DARK = "getComputedStyle(document.querySelector('.stApp')).colorScheme === 'dark'"


@pytest.mark.parametrize("address", [item for items in ADDRESSES.values() for item in items])
def test_axe_finds_nothing_and_a_phone_shows_it_all(tab: Page, address: str) -> None:
    tab.emulate_media(color_scheme="light")
    visit(tab, address)
    settle(tab)
    found = {"light": findings(tab)}
    tab.emulate_media(color_scheme="dark")
    until_true(tab, DARK)
    settle(tab)
    found["dark"] = findings(tab)
    assert found == {"light": [], "dark": []}
    if address.startswith(CHARTED):
        charts_stay_inside(tab)
    tab.set_viewport_size({"width": PHONE, "height": 844})
    tab.reload()
    settle(tab)
    expect(tab.get_by_role("heading", level=1).first).to_be_visible()
    expect(tab.get_by_role("button", name="Copy link")).to_be_in_viewport()
    assert tab.get_by_test_id("stMain").evaluate("part => part.scrollWidth") <= PHONE
