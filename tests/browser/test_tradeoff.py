"""The trade-off page in a browser: a point opens its run, and a form is a link."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from kencore.sweeps.shelf import Sweep
from tests.browser.conftest import TALL, NewPage, Server, visit
from tests.browser.steps import charts_stay_inside, click_point, copied, find_point, plot, press, settle
from tests.support.sweeps import make_sweep


@pytest.fixture(scope="module")
def swept(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A sweep in the same store as ``sample``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KENVIZ_HOME", str(server.home))
        sweep = make_sweep(
            tmp_path_factory.mktemp("pair"), methods=("delta", "random"), keeps=(0.5, 0.25, 0.1), seeds=(0, 1)
        )
        assert len(sweep.points)
    return sweep


def test_a_point_opens_its_run_and_back_leads_back(new_page: NewPage, swept: Sweep) -> None:
    page = new_page(height=TALL["height"])
    visit(page, f"tradeoff?sweep={swept.id}")
    key = "tradeoff-accuracy-share-linear"
    trace, point = find_point(plot(page, key), "Largest difference", 0.25)
    click_point(page, key, trace, point)
    page.wait_for_url(re.compile(f"run=sweep-{swept.id}-delta-0.25-s0"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Largest difference keeps")
    page.get_by_role("link", name="A point of a sweep").click()
    page.wait_for_url(re.compile("/tradeoff"))
    plot(page, "tradeoff-accuracy-share-linear")
    settle(page)  # a click that is remembered would lead away again
    assert "/tradeoff" in page.url


def test_everything_stays_inside_the_page(new_page: NewPage, swept: Sweep) -> None:
    page = new_page(height=TALL["height"])
    visit(page, f"tradeoff?sweep={swept.id}")
    plot(page, "tradeoff-accuracy-share-linear")
    charts_stay_inside(page)


def test_a_prepared_form_opens_in_another_profile_and_back_takes_it_back(new_page: NewPage, swept: Sweep) -> None:
    here = visit(new_page(height=TALL["height"]), f"tradeoff?sweep={swept.id}")
    plot(here, "tradeoff-accuracy-share-linear")
    here.get_by_role("radio", name="New sweep").click()
    press(here, "Remove KEN")
    here.wait_for_url(re.compile("methods=delta%2Crandom"))
    shares = here.get_by_role("combobox", name="Shares that are kept")
    shares.fill("33.3")
    shares.press("Enter")
    here.wait_for_url(re.compile("keeps=.*0.333"))
    shares.press("Escape")  # the list of options lies over the page
    there = new_page(height=TALL["height"], stranger=True)
    visit(there, copied(here))
    for page in (here, there):
        expect(page.get_by_role("radio", name="New sweep")).to_be_checked()
        expect(page.get_by_role("button", name="Remove 33.3")).to_be_visible()
        expect(page.get_by_role("button", name="Remove Random")).to_be_visible()
        expect(page.get_by_role("button", name="Remove KEN")).to_have_count(0)
    here.go_back()
    expect(here.get_by_role("button", name="Remove 33.3")).to_have_count(0)
    settle(here)  # the next step back is pressed on a page at rest
    here.go_back()
    expect(here.get_by_role("button", name="Remove KEN")).to_be_visible()
    settle(here)
    here.go_back()  # to the curve, whose address has no word of the form
    plot(here, "tradeoff-accuracy-share-linear")
    assert "methods" not in here.url
