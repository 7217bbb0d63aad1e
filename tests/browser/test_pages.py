"""Pictures that lead on: a click on a cell or on a picture of a block opens its matrix."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from kencore.views import tables as summaries
from tests.browser.conftest import NewPage, Server, visit
from tests.browser.steps import click_point, holds, plot, settle

UP = "bert.encoder.layer.1.intermediate.dense.weight"
ROW = "Row 17 of block 1 feed-forward, first"


def test_a_cell_of_the_map_opens_its_matrix_and_back_leads_back(page: Page, server: Server) -> None:
    cells = summaries.model_cells(server.sample.matrices)
    index = int(cells.index[(cells["block"] == 2) & (cells["role"] == "up")][0])
    visit(page, "?run=sample")
    click_point(page, "model-map", 1, index)
    page.wait_for_url(holds("/matrix", f"matrix={cells['name'][index]}", "run=sample"))
    expect(page.get_by_role("heading", level=1)).to_contain_text("Block 2 feed-forward, first")
    page.go_back()
    plot(page, "model-map")
    settle(page)  # a click that is remembered would lead away again
    assert "/matrix" not in page.url


def test_a_picture_of_a_block_opens_its_matrix_in_the_same_layer(page: Page) -> None:
    visit(page, f"layers?run=sample&matrix={UP}&layer=neighbours")
    click_point(page, "block-pictures", 0, 3)
    page.wait_for_url(holds("/matrix", f"matrix={UP.replace('.1.', '.3.')}", "layer=neighbours"))


def test_a_row_leads_to_the_matrix_and_back(page: Page) -> None:
    visit(page, f"row?run=sample&matrix={UP}&row=17")
    expect(page.get_by_role("heading", level=1)).to_have_text(ROW)
    page.get_by_role("link", name="Show it in the matrix").click()
    page.wait_for_url(re.compile("/matrix"))
    page.get_by_role("link", name="Open row 17").click()
    page.wait_for_url(re.compile("/row"))
    expect(page.get_by_role("heading", level=1)).to_have_text(ROW)


def test_a_page_that_is_not_there_leads_home(new_page: NewPage) -> None:
    page = visit(new_page(), "no-such-page?run=sample")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Page not found")
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", level=1)).to_contain_text("KEN keeps")
