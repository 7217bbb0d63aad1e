"""The page Flips: a filter and a row of the table, and from there to Explain and back."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from kencore import open_run
from kencore.views.flips import chosen
from tests.browser.conftest import visit
from tests.browser.steps import SLOW, click_point, holds, plot, settle


def test_a_sentence_that_went_wrong_leads_to_its_explanation(tab: Page) -> None:
    lines = chosen(open_run("demo").flips(), "right-wrong")
    visit(tab, "flips?run=demo")
    expect(tab.get_by_role("heading", level=1)).to_have_text("29 sentences went wrong, 17 came right")
    tab.get_by_role("radio", name="Right to wrong").click()
    tab.wait_for_url(holds("filter=right-wrong"))
    table = tab.get_by_test_id("stDataFrame")
    expect(table).to_have_count(1)  # the one before is gone
    settle(tab)
    table.click(position={"x": 16, "y": 35 + 35 + 17})  # the box of the second row
    expect(tab.get_by_text("The line that is selected")).to_be_visible()
    tab.get_by_role("link", name="Explain it").click()
    tab.wait_for_url(holds("/explain"))
    expect(tab.get_by_role("textbox", name="A sentence")).to_have_value(lines["text"][1])
    expect(tab.get_by_text("in the data its label is “negative”")).to_be_visible(timeout=SLOW)
    chart = plot(tab, "effects")
    names = chart.evaluate("plot => Array.from(plot._fullData[0].customdata)")
    expect(tab.get_by_role("combobox", name="Matrix")).to_have_value(names[0])  # what moved the answer most
    click_point(tab, "effects", 0, 0, along=0.5)  # what is shown already: nothing happens, and the page rests
    settle(tab)
    click_point(tab, "effects", 0, 1, along=0.5)
    expect(tab.get_by_role("combobox", name="Matrix")).to_have_value(names[1])
    tab.wait_for_url(holds("matrix="))
    tab.go_back()
    tab.go_back()
    expect(tab.get_by_role("heading", level=1)).to_have_text("29 sentences went wrong, 17 came right")
