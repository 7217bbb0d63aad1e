"""Two runs side by side in a browser: single weights, and links."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from kencore.runs.run import Run
from tests.browser.canvas import CANVAS, point, settled
from tests.browser.conftest import NewPage, Server, visit
from tests.browser.steps import click_point
from tests.browser.test_matrix import UP, shown, tip, written
from tests.support.runs import make_run

WHO = {(False, False): "neither", (False, True): "only B", (True, False): "only A", (True, True): "both"}


@pytest.fixture(scope="module")
def beside(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Another rule on the models of ``sample``, in the same store."""
    made = make_run(tmp_path_factory.mktemp("beside"), "delta")
    folder = server.home / "runs" / "beside"
    shutil.copytree(made.path, folder)
    return Run(folder)


def test_single_weights_say_who_keeps_them_in_this_page_alone(page: Page, server: Server, beside: Run) -> None:
    visit(page, f"compare?run=sample&other=beside&matrix={UP}&r0=40&r1=46&c0=20&c1=28")
    settled(page)
    assert shown(page)["layer"] == "overlap"
    assert "layer=" not in page.url  # what the page shows by itself
    a, b = server.sample.keep(UP), beside.keep(UP)
    cols, lines = written(page)
    assert len(lines) > 2
    for row, texts in lines:
        assert texts == [WHO[bool(a[row, col]), bool(b[row, col])] for col in cols]
    page.locator(CANVAS).scroll_into_view_if_needed()
    page.mouse.move(*point(page, 0.5, 0.5))
    (row, col), known = tip(page)
    assert known["Kept by"] == WHO[bool(a[row, col]), bool(b[row, col])]
    assert np.float32(known["Tuned"]) == server.sample.values(UP, "tuned")[row, col]
    legend = page.locator("[data-testid=kv-legend]")
    for words in ("Kept by A and B", "both", "only A", "only B", "neither"):
        expect(legend).to_contain_text(words)
    marked = legend.locator("i").evaluate_all("boxes => boxes.map(box => getComputedStyle(box).backgroundImage)")
    assert len(set(marked)) == 4  # plain, and three kinds of lines
    page.get_by_role("radio", name="Kept").click()
    page.wait_for_url(re.compile("layer=kept"))
    page.reload()
    assert shown(settled(page))["layer"] == "kept"
    visit(page, f"matrix?run=sample&matrix={UP}")
    settled(page)
    expect(page.get_by_role("radio", name="Overlap")).to_be_hidden()


def test_a_click_on_the_map_opens_that_matrix_and_back_is_one_step(
    new_page: NewPage, server: Server, beside: Run
) -> None:
    page = visit(new_page(height=2600), "compare?run=sample&other=beside")
    settled(page)
    before = page.url
    click_point(page, "compare-map", 1, 3)
    page.wait_for_url(re.compile("matrix="))
    expect(page.get_by_text("the two differ on").last).to_be_visible()
    settled(page)
    page.go_back()
    page.wait_for_url(before)
