"""The map of a whole model in a browser: down to one weight by wheel or keys, and two in step."""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from playwright.sync_api import Locator, Page, expect

from kencore.pruning.prune import prune
from kencore.runs.run import Run
from kencore.settings.prune import PruneSpec
from tests.browser.canvas import CANVAS, settled, turn_wheel
from tests.browser.conftest import NewPage, Server, visit
from tests.browser.steps import until
from tests.support.experts import FEW
from tests.support.runs import make_run

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48
VIEW = ("level", "matrix", "r0", "r1", "c0", "c1", "layer", "selected")


def open_map(page: Page, **query: object) -> Page:
    address = "&".join(f"{name}={value}" for name, value in {"run": "sample", **query}.items())
    visit(page, f"map?{address}")
    return settled(page)


def shown(page: Page, which: int = 0) -> dict[str, Any]:
    found = page.locator(CANVAS).nth(which).evaluate("canvas => ({...canvas.dataset})")
    return {name: found[name] for name in VIEW}


SCAN = """(canvas, name) => {
    const area = canvas.getBoundingClientRect();
    for (let y = area.top + 50; y < area.bottom; y += 6) {
        for (let x = area.left + 70; x < area.right; x += 6) {
            const at = {clientX: x, clientY: y, bubbles: true};
            canvas.dispatchEvent(new PointerEvent("pointermove", at));
            if (canvas.dataset.hover === name) return [x + 4, y + 4];
        }
    }
    return null;
}"""


def over(page: Page, name: str, which: int = 0) -> tuple[float, float]:
    """A point of the page inside a matrix, where the pointer is then."""
    point = page.locator(CANVAS).nth(which).evaluate(SCAN, name)
    assert point, "the matrix is not on the map"
    page.mouse.move(*point)
    return point[0], point[1]


def tip(page: Page, which: int = 0) -> Locator:
    return page.get_by_test_id("kv-tip").nth(which)


def said(page: Page, which: int = 0) -> tuple[tuple[int, int], dict[str, str]]:
    """Row and column of the weight under the pointer, and what the tip says of it."""
    holder = tip(page, which)
    expect(holder).to_be_visible()
    expect(holder).not_to_contain_text("…")
    numbers = re.search(r"Row ([\d,]+), column ([\d,]+)", holder.locator("b").inner_text())
    assert numbers
    row, col = (int(text.replace(",", "")) for text in numbers.groups())
    names = holder.locator("dt").all_inner_texts()
    return (row, col), dict(zip(names, holder.locator("dd").all_inner_texts(), strict=True))


def test_the_wheel_goes_from_the_model_to_one_weight_and_a_link_opens_it(
    page: Page, server: Server, new_page: NewPage
) -> None:
    open_map(page)
    assert shown(page)["level"] == "model"
    kept = server.sample.totals["kept"]
    expect(page.get_by_test_id("kv-where")).to_contain_text("Whole model")
    pruned = server.sample.totals["pruned"]
    share = f"{round(100 * kept / pruned, 1):g} % of {pruned:,} weights kept"
    expect(page.get_by_test_id("kv-where")).to_contain_text(share)
    point = over(page, UP)
    turn_wheel(page, 14)
    assert (shown(page)["level"], shown(page)["matrix"]) == ("window", UP)
    page.mouse.move(point[0] + 1, point[1])
    (row, col), words = said(page)
    assert np.float32(words["Tuned"]) == server.sample.values(UP, "tuned")[row, col]
    assert np.float32(words["Base"]) == server.sample.values(UP, "base")[row, col]
    page.mouse.click(*point)
    settled(page)
    assert shown(page)["selected"] == f"{UP},{row},{col}"
    expect(page.get_by_text(f"Row {row}, column {col}", exact=True)).to_be_visible()
    page.mouse.move(5, 5)
    settled(page)
    view, link = shown(page), page.url
    other = new_page(stranger=True)
    visit(other, link)
    assert shown(settled(other)) == view
    assert other.url == link
    crumbs = other.get_by_role("navigation", name="Where you are in the model")
    crumbs.get_by_role("button", name="Block 1", exact=True).click()
    settled(other)
    assert shown(other)["level"] == "block"
    crumbs.get_by_role("button", name="Model, 4 blocks").click()
    settled(other)
    assert shown(other)["level"] == "model"
    assert "at=" not in other.url


def test_what_was_lost_is_shown_first_and_a_part_of_a_block_leads_to_its_matrix(page: Page) -> None:
    open_map(page)
    legend = page.get_by_test_id("kv-legend")
    expect(legend).to_contain_text("Squared change lost")
    expect(legend).to_contain_text("stretched to the range")
    page.get_by_role("button", name="Stretch colors").click()
    expect(legend).to_contain_text("0 to 100 %")
    settled(page)
    assert "range=full" in page.url
    page.get_by_role("link", name="attention key").click()
    key = UP.replace("1.intermediate.dense", "0.attention.self.key")
    until(page, lambda: shown(settled(page))["matrix"] == key, "the part that was clicked")
    expect(legend).to_contain_text("Kept or reset")  # from close
    expect(page.get_by_role("link", name="attention key")).to_have_attribute("aria-current", "true")
    assert shown(page)["layer"] == "lost"


def test_keys_alone_reach_a_weight_and_come_back(page: Page, server: Server) -> None:
    open_map(page, at=UP)
    page.locator(CANVAS).focus()

    def press(*keys: str) -> dict[str, Any]:
        for key in keys:
            page.keyboard.press(key)
            settled(page, quiet=100)
        return shown(settled(page))

    assert press("Shift+ArrowDown")["matrix"] == UP.replace(".1.", ".2.")
    assert press("Shift+ArrowUp")["matrix"] == UP
    assert press("PageDown")["matrix"] != UP
    assert press("PageUp")["matrix"] == UP
    found = press("Enter", "Enter", "Enter", "Enter")
    name, row, col = found["selected"].split(",")
    assert name == UP
    moved = press("Shift+ArrowRight", "Shift+ArrowDown")
    assert moved["selected"] == f"{UP},{int(row) + 1},{int(col) + 1}"
    heading = f"Row {int(row) + 1}, column {int(col) + 1}"
    expect(page.get_by_text(heading, exact=True)).to_be_visible()
    near = press("+", "+", "+")
    table = page.get_by_test_id("kv-table").locator("tr")
    expect(table).to_have_count(1 + int(near["r1"]) - int(near["r0"]))
    assert press("Escape")["selected"] == ""
    assert [press("Escape")["level"] for _ in range(3)] == ["matrix", "block", "model"]
    press("Shift+ArrowRight")
    expect(page.get_by_test_id("kv-where")).to_contain_text(re.compile(r"Block \d .* kept"))
    assert press("Enter")["level"] == "matrix"
    assert press("Home")["level"] == "model"
    page.keyboard.press("Tab")
    expect(page.locator(CANVAS)).not_to_be_focused()


@pytest.fixture
def twin(server: Server, tmp_path: Path) -> Iterator[Run]:
    """Another run of the same pair in the server's store."""
    folder = server.home / "runs" / "twin"
    shutil.copytree(make_run(tmp_path, method="magnitude", keep=0.25).path, folder)
    yield Run(folder)
    shutil.rmtree(folder)


def test_two_maps_move_in_step(page: Page, server: Server, twin: Run) -> None:
    open_map(page, run="sample", other="twin", layer="tuned")
    expect(page.locator(CANVAS)).to_have_count(2)
    over(page, UP, which=1)
    turn_wheel(page, 14)
    assert shown(page, 0) == shown(page, 1)
    assert shown(page)["matrix"] == UP
    rows = slice(int(shown(page)["r0"]), int(shown(page)["r1"]))
    assert rows.stop - rows.start < 20
    expect(page.locator("[data-testid=kv-legend]")).to_have_count(1)
    assert "other=twin" in page.url
    first = None
    for which, run in enumerate((server.sample, twin)):
        area = page.locator(CANVAS).nth(which).bounding_box()
        assert area
        page.mouse.move(area["x"] + 0.4 * area["width"], area["y"] + 0.4 * area["height"])
        seen, words = said(page, which)
        assert seen == (first or seen)
        first = seen
        outcome = words["In the pruned model"]
        assert outcome.startswith("● kept" if run.keep(UP)[seen] else "○ reset")


def test_files_of_what_is_seen(page: Page, server: Server, twin: Run, tmp_path: Path) -> None:
    open_map(page, run="sample", other="twin", at=UP, r0=40, r1=46, c0=20, c1=28)
    with page.expect_download() as caught:
        page.get_by_role("button", name="PNG").click()
    assert caught.value.suggested_filename == "sample.map.png"
    caught.value.save_as(tmp_path / "map.png")
    data = (tmp_path / "map.png").read_bytes()
    area = page.locator(CANVAS).first.bounding_box()
    assert area
    assert int.from_bytes(data[16:20], "big") == 2 * 2 * round(area["width"])  # two maps, two pixels a point
    view = {name: int(shown(page)[name]) for name in ("r0", "r1", "c0", "c1")}
    with page.expect_download() as caught:
        page.get_by_role("button", name="CSV").click()
    caught.value.save_as(tmp_path / "window.csv")
    with (tmp_path / "window.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == (view["r1"] - view["r0"]) * (view["c1"] - view["c0"])
    keep = server.sample.keep(UP)
    assert all(line["kept"] == str(int(keep[int(line["row"]), int(line["column"])])) for line in lines)


def test_a_run_of_another_model_is_refused_in_words(page: Page) -> None:
    open_map(page, run="sample", other="long")
    expect(page.get_by_text("wanted two runs of the same model")).to_be_visible()
    expect(page.locator(CANVAS)).to_have_count(1)


def test_many_experts_stand_side_by_side_and_are_a_level_of_their_own(
    page: Page, server: Server, tmp_path: Path
) -> None:
    model = transformers.MixtralForCausalLM(transformers.MixtralConfig(**FEW, num_local_experts=9))
    model.save_pretrained(tmp_path / "model")
    prune(PruneSpec(model=str(tmp_path / "model"), method="magnitude", keep=0.5), out=server.home / "runs" / "experts")
    open_map(page, run="experts")
    name = "model.layers.1.block_sparse_moe.experts.7.w1.weight"
    page.mouse.click(*over(page, name))
    settled(page)
    assert (shown(page)["level"], shown(page)["matrix"]) == ("matrix", name)
    crumbs = page.get_by_role("navigation", name="Where you are in the model")
    crumbs.get_by_role("button", name="9 experts, gate", exact=True).click()
    settled(page)
    assert shown(page)["level"] == "block"
    over(page, name.replace(".7.", ".4."))  # the middle of three by three
