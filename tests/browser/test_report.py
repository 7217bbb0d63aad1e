"""The report opened without a network, and charts saved as files."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from kencore.report import report
from kencore.runs.run import open_run
from tests.browser.conftest import visit
from tests.browser.steps import GRAVE, settle


def test_a_report_without_a_network_has_the_numbers_of_the_app(tab: Page, browser: Browser, tmp_path: Path) -> None:
    visit(tab, "?run=demo-lm")
    settle(tab)
    title = tab.get_by_role("heading", level=1).first.inner_text()
    shown = [metric.inner_text() for metric in tab.get_by_test_id("stMetricValue").all()]
    report("demo-lm", tmp_path / "report.html")
    context = browser.new_context(viewport={"width": 390, "height": 844})
    try:
        context.set_offline(True)
        page = context.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.goto((tmp_path / "report.html").as_uri())
            assert page.get_by_role("heading", level=1).inner_text() == title
            assert page.locator(".cards .value").all_inner_texts() == shown
            assert page.evaluate("document.documentElement.scrollWidth") == 390
            found = Axe().run(page).response["violations"]
            assert [rule["id"] for rule in found if rule["impact"] in GRAVE] == []
        for image in page.locator("svg image").all():
            assert image.get_attribute("href").startswith("data:image/png")  # type: ignore[union-attr]
        page.emulate_media(media="print", color_scheme="dark")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        # axe itself runs eval, which the policy forbids; the page has nothing to say
        assert [text for text in told if "axe" not in text and "eval" not in text] == []
    finally:
        context.close()


def test_the_map_of_a_report_goes_down_to_the_weight(browser: Browser, tmp_path: Path) -> None:
    report("demo", tmp_path / "report.html")
    run = open_run("demo")
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    try:
        page = context.new_page()
        told, asked = [], []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())
        canvas = page.locator("#kv-map canvas.kv-canvas")
        expect(canvas).to_have_attribute("data-ready", "true")
        assert page.locator("#kv-map button[data-layer]:visible").all_inner_texts() == ["Change lost", "Kept"]
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box is not None
        canvas.focus()
        canvas.press("Enter")  # into the matrix in the middle
        expect(canvas).to_have_attribute("data-level", "matrix")
        for _ in range(3):
            canvas.press("Enter")  # closer
        expect(canvas).to_have_attribute("data-cell", "1x1")
        expect(canvas).to_have_attribute("data-ready", "true")
        keep = run.keep(str(canvas.get_attribute("data-matrix")))
        seen = set()
        for x, y in ((0.3, 0.3), (0.4, 0.6), (0.5, 0.4), (0.6, 0.7), (0.7, 0.5), (0.35, 0.45), (0.65, 0.35)):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            tip = page.locator("#kv-map .kv-tip")
            expect(tip).to_contain_text("In the pruned model")
            where = re.search(r"Row ([\d,]+), column ([\d,]+)", tip.inner_text())
            assert where is not None
            row, col = (int(part.replace(",", "")) for part in where.groups())
            said = "● kept" if keep[row, col] else "○ reset to base"
            expect(tip).to_contain_text(said)
            seen.add(bool(keep[row, col]))
        assert seen == {True, False}
        assert asked == [(tmp_path / "report.html").as_uri()]
        assert told == []
    finally:
        context.close()


def test_every_chart_is_saved_as_png_and_svg_with_its_finding(tab: Page) -> None:
    from PIL import Image

    visit(tab, "?run=demo&open=roles")
    settle(tab)
    plots = 3
    expect(tab.locator(".js-plotly-plot")).to_have_count(plots)
    buttons = {kind: tab.get_by_role("button", name=f"Save as {kind}: ") for kind in ("PNG", "SVG")}
    for found in buttons.values():
        expect(found).to_have_count(plots)
    for i in range(plots):
        finding = str(buttons["SVG"].nth(i).get_attribute("aria-label")).partition(": ")[2]
        with tab.expect_download() as saved:
            buttons["SVG"].nth(i).click()
        text = Path(saved.value.path()).read_text("utf-8")
        assert saved.value.suggested_filename.endswith(".svg")
        assert f"<title>{finding}</title>" in text.replace("&gt;", ">")
        assert text.count("<svg") >= 2
        if i:  # one as pixels is enough
            continue
        with tab.expect_download() as saved:
            buttons["PNG"].nth(i).click()
        pixels = np.asarray(Image.open(io.BytesIO(Path(saved.value.path()).read_bytes())))
        assert pixels.shape[1] > 500
        assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 20  # not blank
