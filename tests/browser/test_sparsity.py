"""Four runs side by side in a browser, and the pages of runs that set weights to zero."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.frame import state
from kencore.runs.run import Run
from kencore.views import sparsity
from tests.browser.canvas import point, settled, zoom_in
from tests.browser.conftest import NewPage, Server, visit
from tests.browser.steps import charts_stay_inside, choose, click_point, heights, holds, plot, settle, until
from tests.browser.test_matrix import tip
from tests.support.runs import make_lm_run

MADE: dict[str, dict[str, Any]] = {
    "uniform": {"allocation": "uniform"},
    "owl": {"allocation": "owl"},
    "blocks": {"allocation": "neuroal", "step": "block"},
    "both": {"allocation": "neuroal", "step": "both"},
    "updated": {"method": "sparsegpt"},
}
GATE = "model.layers.1.mlp.gate_proj.weight"
FOUR = "sparsity?run=both&compare=uniform%2Cowl%2Cblocks"


@pytest.fixture(scope="module")
def lm(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Runs of language models in the same store as ``sample``."""
    made = {}
    for name, settings in MADE.items():
        folder = server.home / "runs" / name
        shutil.copytree(make_lm_run(tmp_path_factory.mktemp(name), **settings).path, folder)
        made[name] = Run(folder)
    time.sleep(state._LIST_SECONDS)  # the server's list of runs is at most so old
    return made


@pytest.fixture
def lm_page(lm: dict[str, Run], new_page: NewPage) -> Iterator[Page]:
    """A tab, tall enough for every chart; errors of the console fail, too."""
    page = new_page(height=3200)
    page.set_default_timeout(30_000)
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    yield page
    page.close()
    # Streamlit looks for its own address below the page's first: two 404 that are none of ours
    assert not [text for text in errors if "404" not in text]


def test_four_runs_are_four_lines_and_the_open_one_has_bars(lm_page: Page, lm: dict[str, Run]) -> None:
    visit(lm_page, FOUR)
    lines = heights(plot(lm_page, "sparsity-depth"), 4)
    for name, line in zip(("both", "uniform", "owl", "blocks"), lines, strict=True):
        wanted = sparsity.by_block(lm[name].matrices)["sparsity"]
        np.testing.assert_allclose(line, wanted, rtol=1e-6)
    (bars,) = heights(plot(lm_page, "sparsity-bars"), 1)
    np.testing.assert_allclose(bars, lines[0], rtol=1e-6)
    expect(lm_page.locator(".st-key-sparsity-bars .bars path")).to_have_count(4)
    written = lm_page.locator(".st-key-sparsity-depth .annotation-text")

    def told() -> bool:
        said = " ".join(" ".join(written.all_text_contents()).split())
        return all(name in said for name in ("Uniform", "OWL", "NeuroAL (blocks)", "target 70"))

    until(lm_page, told, "the names beside the lines")
    plot(lm_page, "sparsity-search-0")
    plot(lm_page, "sparsity-search-1")
    plot(lm_page, "alignment")


def test_a_violin_opens_its_matrix_and_back_leads_back(lm_page: Page) -> None:
    visit(lm_page, f"{FOUR}&matrix={GATE}")
    points = 2
    click_point(lm_page, "sparsity-rows", points, 2)
    lm_page.wait_for_url(holds("/matrix", f"matrix={GATE.replace('.1.', '.2.')}"))
    expect(lm_page.get_by_role("heading", level=1)).to_contain_text("Block 2 feed-forward gate")
    lm_page.go_back()
    plot(lm_page, "sparsity-rows")
    settle(lm_page)  # a click that is remembered would lead away again
    assert "/matrix" not in lm_page.url


def test_what_was_chosen_is_a_link_that_shows_the_same(lm_page: Page) -> None:
    visit(lm_page, "sparsity?run=both")
    expect(lm_page.locator(".st-key-sparsity-depth")).to_have_count(0)
    choice = lm_page.get_by_role("combobox", name="Compare with")
    for text, chosen in (("wanda + owl", "compare=owl"), ("wanda + neuroal", "compare=owl%2Cblocks")):
        choice.click()
        lm_page.get_by_role("option", name=re.compile(re.escape(text))).first.click()
        lm_page.wait_for_url(holds(chosen))  # the server has it, and will not put its own in the place of the next
    lm_page.keyboard.press("Escape")
    plot(lm_page, "sparsity-bars")
    settle(lm_page)  # else the button is drawn anew below the pointer
    choose(lm_page, lm_page.get_by_role("radio", name="Roles in each block"), "compare=owl%2Cblocks", "bars=role")
    other = lm_page.context.new_page()
    visit(other, lm_page.url)
    for key, traces in (("sparsity-depth", 3), ("sparsity-bars", 7)):
        mine, theirs = (heights(plot(page, key), traces) for page in (lm_page, other))
        assert theirs == mine


def test_a_map_without_a_base_offers_no_difference(lm_page: Page) -> None:
    visit(lm_page, f"matrix?run=both&matrix={GATE}")
    settled(lm_page)
    layers = lm_page.get_by_role("radiogroup", name="Layer")
    expect(layers.get_by_role("radio", name="Dense")).to_be_visible()
    expect(layers.get_by_role("radio", name="Difference")).to_be_hidden()
    expect(layers.get_by_role("radio", name="Base")).to_be_hidden()
    expect(lm_page.get_by_test_id("kv-legend")).to_contain_text("set to zero")


def test_an_updated_weight_is_read_as_it_is_in_the_pruned_model(lm_page: Page, lm: dict[str, Run]) -> None:
    visit(lm_page, f"matrix?run=updated&matrix={GATE}")
    settled(lm_page)
    zoom_in(lm_page)
    found: dict[bool, dict[str, str]] = {}
    pruned, dense = (lm["updated"].values(GATE, side) for side in ("pruned", "tuned"))
    for right in np.linspace(0.1, 0.9, 9):
        lm_page.mouse.move(*point(lm_page, float(right), 0.52))
        (row, col), said = tip(lm_page)
        kept = bool(lm["updated"].keep(GATE)[row, col])
        found[kept] = said
        assert np.float32(said["Dense"]) == dense[row, col]
        if kept:
            assert np.float32(said["Pruned value"]) == pruned[row, col]
            assert "updated" in said["In the pruned model"]
        else:
            assert "set to zero" in said["In the pruned model"]
    assert set(found) == {True, False}


def test_charts_stay_inside_the_page(lm_page: Page) -> None:
    visit(lm_page, f"{FOUR}&bars=role")
    for key in ("sparsity-bars", "sparsity-depth", "sparsity-rows", "alignment"):
        plot(lm_page, key)
    charts_stay_inside(lm_page)
