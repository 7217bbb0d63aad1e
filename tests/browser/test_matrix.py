"""The weight map in a browser: from the whole matrix to one weight, and every view a link."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from kencore.runs.run import Run
from kencore.views.window import cell
from tests.browser.canvas import CANVAS, box, point, settled, zoom_in
from tests.browser.conftest import NewPage, Server, visit
from tests.browser.steps import until_true

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48
GAIN = "bert.encoder.layer.1.output.LayerNorm.weight"  # 1 x 48
WORDS = "bert.embeddings.word_embeddings.weight"


def open_map(page: Page, **query: object) -> Page:
    address = "&".join(f"{name}={value}" for name, value in {"run": "sample", **query}.items())
    visit(page, f"matrix?{address}")
    return settled(page)


def shown(page: Page) -> dict[str, str]:
    keys = ("r0", "r1", "c0", "c1", "layer", "cell", "selected")
    found: dict[str, str] = page.locator(CANVAS).evaluate("canvas => ({...canvas.dataset})")
    return {key: found[key] for key in keys}


def tip(page: Page) -> tuple[tuple[int, int], dict[str, str]]:
    """Row and column of the weight under the pointer, and what is said of it."""
    holder = page.locator("[data-testid=kv-tip]")
    expect(holder).to_be_visible()
    expect(holder).not_to_contain_text("…")  # the ranks have arrived
    numbers = re.fullmatch(r"Row ([\d,]+), column ([\d,]+)", holder.locator("b").inner_text())
    assert numbers
    row, col = (int(text.replace(",", "")) for text in numbers.groups())
    names = holder.locator("dt").all_inner_texts()
    return (row, col), dict(zip(names, holder.locator("dd").all_inner_texts(), strict=True))


def test_zoom_to_one_weight_and_read_its_number(page: Page, server: Server) -> None:
    open_map(page, matrix=UP, layer="tuned")
    assert shown(page) == {
        "r0": "0",
        "r1": "96",
        "c0": "0",
        "c1": "48",
        "layer": "tuned",
        "cell": "1x1",
        "selected": "",
    }
    zoom_in(page)
    page.mouse.move(*point(page, 0.5, 0.53))
    (row, col), said = tip(page)
    run = server.sample
    tuned, base = run.values(UP, "tuned"), run.values(UP, "base")
    assert np.float32(said["Tuned"]) == tuned[row, col]
    assert np.float32(said["Base"]) == base[row, col]
    assert np.float32(said["Difference"]) == tuned[row, col] - base[row, col]
    facts = cell(run, UP, row, col)
    assert said["Kept neighbors"] == f"{facts['neighbours']} of 4"
    assert said["Rank of |tuned| in its row"] == f"{facts['rank_value']} of 48"
    assert said["Rank of |difference|"] == f"{facts['rank_difference']} of 48"
    assert said["In the pruned model"].startswith("● kept" if facts["kept"] else "○ reset")


def written(page: Page) -> tuple[list[int], list[tuple[int, list[str]]]]:
    """Columns of the table of what is in sight, and each row with its texts."""
    head, *lines = [
        [text.inner_text() for text in line.locator("th, td").all()]
        for line in page.locator("[data-testid=kv-table] tr").all()
    ]
    cols = [int(text.removeprefix("column ")) for text in head[1:]]
    return cols, [(int(line[0]), line[1:]) for line in lines]


def test_numbers_written_in_the_cells(page: Page, server: Server) -> None:
    open_map(page, matrix=UP, r0=40, r1=45, c0=20, c1=27)
    run, keep = server.sample, server.sample.keep(UP)
    values = {name: run.values(UP, name) for name in ("tuned", "base", "difference")}  # type: ignore[arg-type]
    values["kept"] = np.where(keep, values["tuned"], values["base"])
    for layer in ("kept", "tuned", "base", "difference", "neighbours"):
        page.get_by_role("radio", name={"neighbours": "Neighbors"}.get(layer, layer.capitalize()), exact=True).click()
        assert shown(settled(page))["layer"] == layer
        cols, lines = written(page)
        assert cols[0] <= 20
        assert cols[-1] >= 26
        assert lines[0][0] <= 40
        assert lines[-1][0] >= 44
        for row, texts in lines:
            for col, text in zip(cols, texts, strict=True):
                number, _, mark = text.partition(" ")
                assert (mark == "reset" or number == "reset") == (not keep[row, col])
                if layer != "neighbours":
                    wanted = pytest.approx(values[layer][row, col], rel=0.006, abs=1e-9)
                    assert float(number) == wanted, layer
                else:
                    around = str(cell(run, UP, row, col)["neighbours"])
                    assert number == (around if keep[row, col] else "reset")


def test_a_link_restores_the_view_in_a_fresh_browser(page: Page, new_page: NewPage) -> None:
    open_map(page, matrix=UP)
    page.get_by_role("radio", name="Difference").click()
    zoom_in(page, 7)
    page.mouse.click(*point(page, 0.42, 0.61))
    page.mouse.move(5, 5)
    settled(page)
    view, link = shown(page), page.url
    assert view["selected"]
    assert int(view["r1"]) - int(view["r0"]) < 40
    for name in ("r0=", "r1=", "c0=", "c1=", "row=", "col=", "layer=difference", f"matrix={UP}"):
        assert name in link
    other = new_page(stranger=True)
    visit(other, link)
    settled(other)
    assert shown(other) == view
    assert other.url == link
    row, col = view["selected"].split(",")
    expect(other.get_by_text(f"Row {row}, column {col}")).to_be_visible()


def test_a_link_from_a_larger_window_shows_at_least_the_same(new_page: NewPage) -> None:
    page = new_page(width=820)
    open_map(page, matrix=UP, r0=10, r1=40, c0=4, c1=40)
    view = {key: int(shown(page)[key]) for key in ("r0", "r1", "c0", "c1")}
    assert view["r0"] <= 10
    assert view["r1"] >= 40
    assert view["c0"] <= 4
    assert view["c1"] >= 40


def test_moving_about_leaves_the_history_alone(page: Page) -> None:
    open_map(page, matrix=UP)
    before = page.evaluate("history.length")
    zoom_in(page, 5)
    x, y = point(page, 0.5, 0.5)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 80, y - 60, steps=5)
    page.mouse.up()
    settled(page)
    page.get_by_role("radio", name="Tuned").click()
    settled(page)
    assert "layer=tuned" in page.url
    assert page.evaluate("history.length") == before


def test_dragging_moves_the_weights_with_the_pointer(page: Page) -> None:
    open_map(page, matrix=UP, r0=40, r1=46, c0=20, c1=28)
    x, y = point(page, 0.6, 0.6)
    page.mouse.move(x, y)
    grabbed, _ = tip(page)
    page.mouse.down()
    page.mouse.move(x - 150, y - 100, steps=6)
    page.mouse.up()
    page.mouse.move(x - 151, y - 100)
    assert tip(page)[0] == grabbed


def test_keyboard(page: Page) -> None:
    open_map(page, matrix=UP)
    whole = shown(page)
    canvas = page.locator(CANVAS)
    canvas.focus()

    def press(*keys: str) -> dict[str, str]:
        for key in keys:
            page.keyboard.press(key)
            settled(page, quiet=100)
        return shown(settled(page))

    near = press("+", "+", "+")
    assert int(near["r1"]) - int(near["r0"]) < 30
    right = press("ArrowRight")
    assert int(right["c0"]) > int(near["c0"])
    down = press("ArrowDown")
    assert int(down["r0"]) > int(right["r0"])
    back = press("ArrowUp", "ArrowLeft")
    assert (back["r0"], back["c0"]) == (near["r0"], near["c0"])
    row, col = (int(part) for part in press("Enter")["selected"].split(","))
    assert int(near["r0"]) <= row < int(near["r1"])
    assert press("Shift+ArrowRight", "Shift+ArrowDown")["selected"] == f"{row + 1},{col + 1}"
    expect(page.get_by_text(f"Row {row + 1}, column {col + 1}", exact=True)).to_be_visible()
    out = press("Escape")
    assert int(out["r1"]) - int(out["r0"]) > int(near["r1"]) - int(near["r0"])
    assert press("-", "-", "-", "-")["r1"] == "96"
    press("+", "+")
    assert press("0") | {"selected": ""} == whole
    assert press("Escape")["selected"] == ""  # at the top, Escape lets go of the weight


def test_double_click_and_buttons(page: Page) -> None:
    open_map(page, matrix=UP)
    page.mouse.dblclick(*point(page, 0.5, 0.5))
    settled(page)
    near = shown(page)
    assert int(near["r1"]) - int(near["r0"]) < 60
    page.get_by_role("button", name="Whole matrix").click()
    assert shown(settled(page))["r1"] == "96"
    page.get_by_role("button", name="Zoom in").click()
    settled(page)
    assert int(shown(page)["r1"]) - int(shown(page)["r0"]) < 96
    page.get_by_role("button", name="Up one level").click()
    assert shown(settled(page))["r1"] == "96"


def test_the_small_map_leads_to_where_it_is_clicked(page: Page) -> None:
    open_map(page, matrix=UP, r0=10, r1=16, c0=20, c1=28)
    small = page.locator(".kv-minimap")
    area = small.bounding_box()
    assert area
    page.mouse.click(area["x"] + 0.5 * area["width"], area["y"] + 0.9 * area["height"])
    view = shown(settled(page))
    assert int(view["r0"]) < 86 < int(view["r1"])
    assert int(view["c0"]) < 24 < int(view["c1"])
    page.get_by_role("button", name="Whole matrix").click()
    settled(page)
    expect(small).to_be_hidden()


def test_layers_change_without_asking_again(page: Page) -> None:
    open_map(page, matrix=UP, r0=40, r1=46, c0=20, c1=28)
    page.get_by_role("radio", name="Tuned").click()
    settled(page)  # the whole matrix of a layer is asked for once, for its range of colours
    page.get_by_role("radio", name="Kept").click()
    settled(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for layer in ("Tuned", "Kept", "Tuned"):
        page.get_by_role("radio", name=layer).click()
        page.wait_for_selector(f"{CANVAS}[data-layer={layer.lower()}][data-ready=true]")
    assert not [url for url in asked if "/kenviz/" in url]


def test_a_map_at_rest_asks_for_nothing(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_map(page, run="long", matrix=WORDS, r0=0, r1=500, c0=0, c1=48)
    assert shown(page)["cell"] == "2x1"  # one step closer is looked ahead at
    assert any("/kenviz/window" in url for url in asked)
    page.wait_for_timeout(500)
    asked.clear()
    page.wait_for_timeout(1000)
    assert not [url for url in asked if "/kenviz/" in url]


def test_a_click_opens_the_row(page: Page) -> None:
    open_map(page, matrix=UP, r0=40, r1=46, c0=20, c1=28)
    page.mouse.click(*point(page, 0.5, 0.5))
    row = shown(settled(page))["selected"].split(",")[0]
    page.get_by_role("link", name=f"Open row {row}").click()
    page.wait_for_url(re.compile(rf"/row\?.*row={row}"))
    assert f"matrix={UP}" in page.url


def test_the_next_block_keeps_window_and_layer(page: Page) -> None:
    open_map(page, matrix=UP, layer="tuned", r0=40, r1=46, c0=20, c1=28)
    before = shown(page)
    page.get_by_role("button", name="Next block").click()
    page.wait_for_url(re.compile(r"layer\.2\.intermediate.*r0=40"))
    assert shown(settled(page)) == before
    page.go_back()
    page.wait_for_url(re.compile(r"layer\.1\.intermediate.*r0=40"))
    expect(page.get_by_role("heading", name="Block 1 feed-forward")).to_be_visible()
    assert shown(settled(page)) == before


def test_many_rows_are_shown_in_cells_and_reach_one_weight(page: Page, server: Server) -> None:
    open_map(page, run="long", matrix=WORDS)
    high, wide = (int(part) for part in shown(page)["cell"].split("x"))
    assert (high > 1, wide) == (True, 1)
    expect(page.get_by_test_id("kv-where")).to_contain_text(f"1 cell = {high} × 1 = {high} weights")
    page.mouse.move(*point(page, 0.5, 0.5))
    holder = page.get_by_test_id("kv-tip")
    text = holder.locator("b").inner_text()
    found = re.fullmatch(r"Rows ([\d,]+) to ([\d,]+), column (\d+) · (\d+) weights", text)
    assert found
    first, last, col, weights = (int(part.replace(",", "")) for part in found.groups())
    assert last - first + 1 == weights == high
    share = server.long.keep(WORDS)[first : last + 1, col].mean()
    assert f"{100 * share:.1f} %" in holder.inner_text() or share in (0, 1)
    zoom_in(page, 24)
    assert shown(page)["cell"] == "1x1"
    page.mouse.move(*point(page, 0.5, 0.52))
    (row, col), said = tip(page)
    assert np.float32(said["Tuned"]) == server.long.values(WORDS, "tuned")[row, col]


def test_one_row(page: Page, server: Server) -> None:
    open_map(page, matrix=GAIN, layer="base")
    area = box(page)
    assert area["height"] < 300
    zoom_in(page)
    page.mouse.move(*point(page, 0.5, 0.57))
    (row, col), said = tip(page)
    assert row == 0
    assert np.float32(said["Base"]) == server.sample.values(GAIN, "base")[0, col]


def test_the_theme_is_followed_while_the_page_is_open(new_page: NewPage) -> None:
    page = open_map(new_page(color_scheme="dark"), matrix=UP)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator(".kv")).to_have_attribute("data-theme", scheme)
        until_true(page, CORNER, arg=[page.locator(CANVAS).element_handle(), scheme])


CORNER = """([canvas, scheme]) => {
    const corner = [...canvas.getContext("2d").getImageData(2, 2, 1, 1).data].slice(0, 3);
    return (corner.reduce((a, b) => a + b) > 600) === (scheme === "light");
}"""


def test_sharp_on_dense_screens_and_follows_its_room(new_page: NewPage) -> None:
    page = open_map(new_page(device_scale_factor=2), matrix=UP)
    sizes = "canvas => [canvas.width, canvas.clientWidth]"
    drawn, laid = page.locator(CANVAS).evaluate(sizes)
    assert drawn == 2 * laid
    page.set_viewport_size({"width": 900, "height": 800})
    until_true(
        page,
        """([canvas, before]) => canvas.clientWidth < before
            && canvas.width === 2 * canvas.clientWidth""",
        arg=[page.locator(CANVAS).element_handle(), laid],
    )
    assert shown(settled(page))["r1"] == "96"


def test_files_of_the_view(page: Page, server: Server, tmp_path: Path) -> None:
    open_map(page, matrix=UP, layer="tuned", r0=40, r1=46, c0=20, c1=28)
    view = {key: int(shown(page)[key]) for key in ("r0", "r1", "c0", "c1")}
    with page.expect_download() as caught:
        page.get_by_role("button", name="CSV").click()
    caught.value.save_as(tmp_path / "window.csv")
    with (tmp_path / "window.csv").open() as file:
        lines: list[dict[str, Any]] = list(csv.DictReader(file))
    assert len(lines) == (view["r1"] - view["r0"]) * (view["c1"] - view["c0"])
    run: Run = server.sample
    for line in lines:
        at = int(line["row"]), int(line["column"])
        assert np.float32(line["tuned"]) == run.values(UP, "tuned")[at]
    with page.expect_download() as caught:
        page.get_by_role("button", name="PNG").click()
    caught.value.save_as(tmp_path / "view.png")
    assert caught.value.suggested_filename.startswith(f"{UP}.tuned.r{view['r0']}")
    data = (tmp_path / "view.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width = int.from_bytes(data[16:20], "big")
    assert width == 2 * round(box(page)["width"])


def test_a_failing_server_is_said_and_can_be_asked_again(page: Page) -> None:
    page.route("**/kenviz/window*", lambda route: route.abort())
    visit(page, f"matrix?run=sample&matrix={UP}")
    expect(page.get_by_text("The weights could not be read")).to_be_visible()
    page.unroute("**/kenviz/window*")
    page.get_by_role("button", name="Try again").click()
    settled(page)
    expect(page.get_by_text("The weights could not be read")).not_to_be_visible()


def test_names_for_those_who_do_not_see_it(page: Page) -> None:
    open_map(page, matrix=UP)
    canvas = page.get_by_role("application", name="Map of Block 1 feed-forward, first")
    expect(canvas).to_be_visible()
    page.get_by_role("button", name="CSV").focus()
    page.keyboard.press("Tab")
    expect(canvas).to_be_focused()
    assert canvas.evaluate("canvas => getComputedStyle(canvas).outlineStyle") == "solid"
    page.keyboard.press("+")
    layers = page.get_by_role("radiogroup", name="Layer").get_by_role("radio")
    expect(layers).to_have_count(5)
    page.get_by_role("radio", name="Kept").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Tuned")).to_be_checked()
    settled(page)
    expect(page.get_by_test_id("kv-where")).to_contain_text("of 96")
