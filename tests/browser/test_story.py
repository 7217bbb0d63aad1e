"""The story in a browser: keys, dots, the guided zoom, the animation, the presentation; a sentence that is asked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from kencore.runs.run import open_run
from kencore.views import example as telling
from tests.browser.canvas import CANVAS, settled
from tests.browser.conftest import visit
from tests.browser.steps import findings, settle, until, until_true


def near(page: Page) -> dict[str, str]:
    """What the camera sees."""
    found: dict[str, str] = page.locator(CANVAS).evaluate("canvas => ({...canvas.dataset})")
    return found


def test_the_camera_goes_down_by_keyboard_and_the_address_says_where(tab: Page) -> None:
    example = telling.example(open_run("demo"))
    assert example is not None
    visit(tab, "story?run=demo&step=model")
    heading = tab.get_by_role("heading", level=1)
    expect(heading).to_have_text(re.compile("^KEN put 50"))
    settled(tab)
    assert near(tab)["level"] == "model"
    canvas = tab.locator(CANVAS).element_handle()
    tab.keyboard.press("ArrowRight")
    expect(heading).to_have_text(re.compile("^Every block lost about the same"))
    until(tab, lambda: near(tab)["level"] == "block", "the block")
    tab.keyboard.press("ArrowRight")
    expect(heading).to_have_text(re.compile("^Every matrix of this block"))
    until(tab, lambda: near(tab)["level"] == "matrix" and near(tab)["matrix"] == example.matrix, "the matrix")
    tab.keyboard.press("ArrowRight")
    expect(heading).to_have_text(re.compile("^Row 0 keeps 64 of its 128 weights"))
    tab.wait_for_url(re.compile("step=5"))
    settle(tab)  # while the page is made the slider may be made anew, without what was pressed
    slider = tab.get_by_role("slider", name="Weights kept so far")
    slider.focus()
    tab.keyboard.press("ArrowRight")  # moves the slider, not the story
    expect(slider).to_have_attribute("aria-valuetext", re.compile("^1 of 64: the grid point"))
    expect(heading).to_have_text(re.compile("^Row 0"))
    tab.keyboard.press("End")
    expect(tab.get_by_text(f"Done: {int(example.keep.sum())} of 128 weights are kept")).to_be_visible()
    tab.get_by_role("button", name=re.compile("^Step 7 of 11: This weight was reset")).click()
    weight = f"{example.matrix},{example.row},{example.gone}"
    until(tab, lambda: near(tab)["selected"] == weight, "the weight")
    assert canvas is not None
    assert canvas.evaluate("canvas => canvas.isConnected")  # one camera all the way
    tab.go_back()
    expect(heading).to_have_text(re.compile("^Row 0"))


def test_playing_takes_values_one_by_one_and_stops_when_asked(tab: Page) -> None:
    visit(tab, "story?run=demo-lm&step=row")
    tab.get_by_role("button", name="Play").click()
    slider = tab.get_by_role("slider", name="Weights kept so far")
    until_true(tab, "(slider) => Number(slider.value) > 2", arg=slider.element_handle())
    tab.get_by_role("button", name="Pause").click()
    at = slider.input_value()
    tab.get_by_role("button", name="One back").click()
    expect(slider).to_have_value(str(int(at) - 1))


@pytest.mark.parametrize("address", ["story?run=demo&step=matrix", "story?run=demo-lm&step=cost&present=1"])
def test_the_presentation_hides_the_rest_and_escape_ends_it(tab: Page, address: str) -> None:
    visit(tab, address)
    settle(tab)
    assert findings(tab) == []
    sidebar, saves = tab.get_by_test_id("stSidebar"), tab.get_by_role("button", name=re.compile("PNG"))
    if "present" not in address:
        expect(sidebar).to_be_visible()
        expect(saves).to_be_visible()
        tab.get_by_role("button", name="Present").click()
        expect(tab.get_by_role("button", name="Leave")).to_be_visible()
        expect(saves).to_have_count(0)
        tab.evaluate("() => document.fullscreenElement && document.exitFullscreen()")
    else:
        expect(sidebar).to_be_hidden()
        expect(saves).to_have_count(0)
        tab.keyboard.press("Escape")
    expect(sidebar).to_be_visible()
    expect(tab).not_to_have_url(re.compile("present"))


def test_a_sentence_by_link_is_answered(tab: Page) -> None:
    visit(tab, "explain?run=demo&text=**good** <b>film</b>&neuron=5&token=1")
    expect(tab.get_by_label("A sentence")).to_have_value("**good** <b>film</b>", timeout=30_000)
    tab.get_by_role("button", name="Ask", exact=True).click()
    expect(tab.get_by_text("Where the models diverge")).to_be_visible(timeout=60_000)
    expect(tab.get_by_role("spinbutton", name=re.compile("Neuron, 0 to"))).to_have_value("5")
    assert tab.locator("b", has_text="film").count() == 0
