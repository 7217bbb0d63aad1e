"""Steps on the maps of weights, which draw on a canvas and tell their state as its data."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.browser.steps import until

CANVAS = "[data-testid=kv-canvas]"
# Timed by the page's own clock: what the map still has to do by its timers comes first, however
# late a busy machine is.
AT_REST = """async (maps, quiet) => {
    const frame = () => new Promise((done) => requestAnimationFrame(done));
    const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
    const now = () => JSON.stringify([location.href, maps.map((map) => ({...map.dataset}))]);
    const there = () => maps.length
        && maps.every((map) => map.isConnected && map.dataset.ready === "true");
    const before = now(), end = performance.now() + quiet;
    while (there() && now() === before && performance.now() < end) {
        await frame();
        await sleep(40);
    }
    return there() && now() === before;
}"""


def settled(page: Page, quiet: int = 350) -> Page:
    """Wait until all that is seen has arrived, nothing moves and the address has been written."""
    maps = page.locator(CANVAS)
    maps.first.wait_for()
    until(page, lambda: bool(maps.evaluate_all(AT_REST, quiet)), f"{page.url} at rest")
    return page


def box(page: Page) -> dict[str, float]:
    found = page.locator(CANVAS).bounding_box()
    assert found
    return dict(found)


def point(page: Page, right: float, down: float) -> tuple[float, float]:
    area = box(page)
    return area["x"] + area["width"] * right, area["y"] + area["height"] * down


def turn_wheel(page: Page, times: int) -> None:
    """Zoom in where the pointer is."""
    for _ in range(times):
        page.mouse.wheel(0, -240)
        page.wait_for_timeout(30)
    settled(page)


def zoom_in(page: Page, times: int = 12) -> None:
    page.mouse.move(*point(page, 0.5, 0.5))
    turn_wheel(page, times)
