"""Steps that tests of several pages share, and how they wait.

An answer of the server reaches the address before it reaches the page, and a busy machine makes
the time between the two long. So what a step reads is awaited, never read once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, TimeoutError, expect

from tests.browser.conftest import READY, ROOT

SLOW = 120_000  # milliseconds that a job may take on a busy machine
GRAVE = ("moderate", "serious", "critical")
# nothing is awaited, and nothing fades in or out any more
SETTLED = """document.querySelector("[data-testid=stSkeleton], [data-stale=true]") === null
    && document.getAnimations().every((one) => one.playState !== "running")"""
PLACE = """(plot, [trace, point, along]) => {
    const {xaxis, yaxis} = plot._fullLayout, data = plot._fullData[trace];
    const area = plot.getBoundingClientRect();
    return [area.x + xaxis._offset + xaxis.l2p(along * data.x[point]),
            area.y + yaxis._offset + yaxis.l2p(data.y[point])];
}"""
HOVERED = "(plot) => (plot._hoverdata ?? []).length > 0"
# every chart is drawn as wide as the place that it stands in, and so are all after two more frames
FOLLOWED = """() => new Promise((tell) => {
    const fits = () => [...document.querySelectorAll(".js-plotly-plot")].every((chart) => {
        const place = chart.closest("[data-testid=stPlotlyChart]");
        return place !== null && Math.abs(chart._fullLayout.width - place.clientWidth) < 2;
    });
    requestAnimationFrame(() => requestAnimationFrame(() => tell(fits())));
})"""
INSIDE = """() => document.documentElement.scrollWidth <= innerWidth
    && [...document.querySelectorAll(".js-plotly-plot")].every((chart) => {
        const {left, right} = chart.getBoundingClientRect();
        return left >= 0 && left < right && right <= innerWidth;
    })"""
TRACES = """(plots) => plots.length !== 1 ? [] : plots[0]._fullData.map(
    ({name, x, y}) => ({name, x: Array.from(x), y: Array.from(y)}))"""


Trace = dict[str, Any]  # name, x, y


def until(page: Page, check: Callable[[], bool], what: str) -> None:
    """Wait until ``check()`` holds, while the page goes on."""
    end = time.monotonic() + SLOW / 1000
    while not check():
        assert time.monotonic() < end, f"waited {SLOW / 1000:g} s in vain: {what}"
        page.wait_for_timeout(100)


def until_true(page: Page, script: str, arg: Any = None) -> None:
    """Wait for a script to say true. Playwright's ``wait_for_function`` evaluates it later, from the page, which
    the app's policy forbids.
    """
    until(page, lambda: bool(page.evaluate(script, arg)), script)


def holds(*words: str) -> Callable[[str], bool]:
    """For ``page.wait_for_url``: an address in which all of these are."""
    return lambda address: all(word in address for word in words)


def settle(page: Page) -> None:
    page.wait_for_selector(READY)
    page.wait_for_load_state("networkidle")
    until_true(page, SETTLED)


def findings(page: Page) -> list[str]:
    """What axe calls worse than minor, one line for each element. It looks at a page for seconds, in which a busy
    machine may still paint: what is wrong with a page is there when it is looked at once more.
    """
    if not (found := _violations(page)):
        return found
    page.wait_for_timeout(1000)
    settle(page)
    again = {one.split(" | ")[0] for one in _violations(page)}
    return [one for one in found if one.split(" | ")[0] in again]


def _violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['impact']} {rule['id']}: {node['html'][:160]} {node['target']} | {node.get('failureSummary', '')}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]


def copied(page: Page) -> str:
    """What *Copy link* copies."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    found: str = page.evaluate("navigator.clipboard.readText()")
    return found


# --- charts --------------------------------------------------------------------------------


def plot(page: Page, key: str) -> Locator:
    """A chart; while the page is being made again its old picture may stand beside the new one."""
    found = page.locator(f".st-key-{key} .js-plotly-plot")
    expect(found).to_have_count(1)
    found.locator(".main-svg").first.wait_for()
    return found


def traces(chart: Locator, complete: Callable[[list[Trace]], bool]) -> list[Trace]:
    """Name, x and y of every trace, once they are ``complete``."""
    found: list[Trace] = []

    def there() -> bool:
        found[:] = chart.evaluate_all(TRACES)
        return complete(found)

    until(chart.page, there, f"the traces of {chart}")
    return found


def heights(chart: Locator, count: int) -> list[list[float]]:
    """The y values of every trace, as soon as there are ``count`` traces."""
    return [trace["y"] for trace in traces(chart, lambda found: len(found) == count)]


def find_point(chart: Locator, name: str, x: float) -> tuple[int, int]:
    """Which trace has this name and which of its points lies at ``x``, once both are there."""

    def places(found: list[Trace]) -> list[tuple[int, int]]:
        return [
            (i, j)
            for i, trace in enumerate(found)
            if trace["name"] == name
            for j, place in enumerate(trace["x"])
            if abs(place - x) < 0.02
        ]

    return places(traces(chart, lambda found: bool(places(found))))[0]


def click_point(page: Page, key: str, trace: int, point: int, *, along: float = 1) -> None:
    """Click on a point of a chart, once the chart has come to rest and says that the pointer is on it.

    ``along``: of a bar, how far from its foot (0) to its end.
    """
    chart = plot(page, key)
    chart.scroll_into_view_if_needed()
    place: list[float] = []

    def at_rest() -> bool:
        before, place[:] = list(place), chart.evaluate(PLACE, [trace, point, along])
        return before == place

    def under_the_pointer() -> bool:
        until(page, at_rest, f"{key} at rest")
        x, y = place
        page.mouse.move(x - 4, y)
        page.mouse.move(x, y)
        page.wait_for_timeout(50)  # a chart looks at the pointer as often as it is drawn
        return bool(chart.evaluate(HOVERED)) and at_rest()

    until(page, under_the_pointer, f"a point of {key} under the pointer")
    page.mouse.click(*place)


def charts_stay_inside(page: Page) -> None:
    """There are charts, and none reaches beyond the page, wide or narrow, in either theme."""
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    for width, scheme in product((1440, 900), ("light", "dark")):
        page.set_viewport_size({"width": width, "height": 1200})
        page.emulate_media(color_scheme=scheme)
        until_true(page, FOLLOWED)  # charts follow the width a moment later
        until(page, lambda: bool(page.evaluate(INSIDE)), f"charts inside {width} px, {scheme}")


# --- forms and their jobs ------------------------------------------------------------------


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def measure_nothing(page: Page) -> None:
    """Leave out the measurement, so that a job takes a moment only."""
    choice = page.get_by_role("combobox", name="Labeled sentences")

    def chosen() -> bool:
        choice.click()
        try:
            page.get_by_role("option", name="Do not measure").click(timeout=10_000)
        except TimeoutError:  # the page was made again meanwhile, which closes the list
            page.keyboard.press("Escape")
            return False
        return True

    until(page, chosen, "the choice to measure nothing")


def measure_for_long(page: Page, folder: Path) -> None:
    """Measure on so many sentences that the job is still running when somebody cancels it."""
    sentences = (ROOT / "assets" / "demo" / "sentences.tsv").read_text("utf-8")
    (folder / "many.tsv").write_text(sentences.rstrip("\n") + ("\n" + sentences.rstrip("\n")) * 99)
    choice = page.get_by_role("combobox", name="Labeled sentences")
    choice.fill(str(folder / "many.tsv"))
    choice.press("Enter")


def keep(page: Page, steps: int) -> None:
    """Move the slider of the kept share, so that the job is another one."""
    slider = page.get_by_role("slider", name="Kept of each row")
    slider.focus()
    for _ in range(abs(steps)):
        slider.press("ArrowRight" if steps > 0 else "ArrowLeft")


def panel(page: Page) -> str:
    """The id of the job that the address names."""
    page.wait_for_url(re.compile("job="))
    found = re.search(r"job=([\w-]+)", page.url)
    assert found
    return found[1]


def choose(page: Page, button: Locator, *words: str) -> None:
    """Click until the address has all of these. A click that comes while the page is drawn anew falls through, as a
    person's does, who then clicks again.
    """
    until(page, lambda: _chosen(page, button, words), f"{words} in the address")


def _chosen(page: Page, button: Locator, words: tuple[str, ...]) -> bool:
    button.click()
    try:
        page.wait_for_url(holds(*words), timeout=10_000)
    except TimeoutError:
        return False
    return True
