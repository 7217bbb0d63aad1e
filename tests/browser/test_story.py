"""The story in a browser: keys, dots, the animation, the presentation; a sentence that is asked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from kencore.runs.run import open_run
from kencore.views import example as telling
from tests.browser.conftest import visit
from tests.browser.steps import findings, settle, until_true


def test_through_the_story_by_keyboard(tab: Page) -> None:
    visit(tab, "story?run=demo&step=3")
    heading = tab.get_by_role("heading", level=1)
    expect(heading).to_have_text("What was kept")
    expect(tab.get_by_role("button", name=re.compile("^Step 3 of 10"))).to_be_visible()
    tab.keyboard.press("ArrowRight")
    expect(heading).to_have_text("How one row was chosen")
    tab.wait_for_url(re.compile("step=4"))
    slider = tab.get_by_role("slider", name="Entries kept so far")
    slider.focus()
    tab.keyboard.press("ArrowRight")  # moves the slider, not the story
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^1 of 64: the grid point"))
    expect(heading).to_have_text("How one row was chosen")
    tab.keyboard.press("End")
    example = telling.example(open_run("demo"))
    assert example is not None
    kept = int(example.keep.sum())
    expect(tab.get_by_text(f"Done: {kept} of 128 entries are kept")).to_be_visible()
    tab.get_by_role("button", name="Step 5 of 10: Two weights of that row").click()
    expect(heading).to_have_text("Two weights of that row")
    tab.go_back()
    expect(heading).to_have_text("How one row was chosen")


def test_playing_takes_values_one_by_one_and_stops_when_asked(tab: Page) -> None:
    visit(tab, "story?run=demo-lm&step=3")
    tab.get_by_role("button", name="Play").click()
    slider = tab.get_by_role("slider", name="Entries kept so far")
    until_true(tab, "(slider) => Number(slider.value) > 2", arg=slider.element_handle())
    tab.get_by_role("button", name="Pause").click()
    at = slider.input_value()
    tab.get_by_role("button", name="One back").click()
    expect(slider).to_have_value(str(int(at) - 1))


@pytest.mark.parametrize("address", ["story?run=demo&step=4", "story?run=demo-lm&step=7&present=1"])
def test_the_presentation_hides_the_rest_and_escape_ends_it(tab: Page, address: str) -> None:
    visit(tab, address)
    settle(tab)
    assert findings(tab) == []
    sidebar = tab.get_by_test_id("stSidebar")
    if "present" not in address:
        expect(sidebar).to_be_visible()
        tab.get_by_role("button", name="Present").click()
        expect(tab.get_by_role("button", name="Leave")).to_be_visible()
        tab.evaluate("() => document.fullscreenElement && document.exitFullscreen()")
    else:
        expect(sidebar).to_be_hidden()
        tab.keyboard.press("Escape")
    expect(sidebar).to_be_visible()
    expect(tab).not_to_have_url(re.compile("present"))


def test_a_sentence_by_link_is_answered(tab: Page) -> None:
    visit(tab, "explain?run=demo&text=**good** <b>film</b>&neuron=5&token=1")
    expect(tab.get_by_label("A sentence")).to_have_value("**good** <b>film</b>", timeout=30_000)
    tab.get_by_role("button", name="Ask the models").click()
    expect(tab.get_by_text("Where the models diverge")).to_be_visible(timeout=60_000)
    expect(tab.get_by_role("spinbutton", name="Neuron, 0 to 383")).to_have_value("5")
    assert tab.locator("b", has_text="film").count() == 0
