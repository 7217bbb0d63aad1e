"""How fast the app answers a hand: medians in one run, in a headless Chromium.

    python benchmarks/interaction.py [--repeats 5] [--large] [--skip-first-paint]

Times are taken inside the browser, from the event to the frame after the last change that it
causes; bytes are those of every answer and web socket message in between. ``--large`` does the
same on a made-up run with matrices of 4096 x 11008 (`benchmarks/big_run.py`). Goals: a move of the
slider to the exact picture 300 ms (demo) and 800 ms (large), a step of zoom or pan 60 ms, another
page 700 ms, first paint 1.3 times that of an empty Streamlit app, 1 MB an interaction.
Needs the browser of the tests (`python tests/browser/install.py`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import big_run  # noqa: E402
from first_paint import paint_times  # noqa: E402

from tests.browser.conftest import FLAGS, READY, running  # noqa: E402
from tests.browser.install import find_browser  # noqa: E402

PAGES = ("Matrix", "Layers", "Sparsity", "Overview", "Row")


@dataclass
class Meter:
    """Milliseconds and bytes of one kind of interaction."""

    name: str
    goal: float
    times: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)

    def line(self) -> str:
        verdict = "met" if median(self.times) <= self.goal else "MISSED"
        return (
            f"{self.name:<44} {median(self.times):8.0f} ms  goal {self.goal:4.0f} {verdict:<7}"
            f"{median(self.sizes) / 1e3:9.1f} kB  (slowest {max(self.times):.0f} ms, "
            f"largest {max(self.sizes) / 1e3:.1f} kB, {len(self.times)} times)"
        )


class Wire:
    """Bytes that the browser has received since `restart`."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0.0
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on("Network.loadingFinished", self._answer)
        session.on("Network.webSocketFrameReceived", self._frame)

    def _answer(self, event: dict[str, float]) -> None:
        self.bytes += event["encodedDataLength"]

    def _frame(self, event: dict[str, dict[str, str]]) -> None:
        self.bytes += len(event["response"]["payloadData"]) * 3 / 4  # base64

    def restart(self) -> None:
        self.bytes = 0.0


# starts the clock at the next event of a type, stops it at the frame after `done` holds
CLOCK = """([type, done]) => {
  const holds = new Function(`return (${done})`);
  window.kenvizClock = new Promise((resolve) => {
    addEventListener(type, (event) => {
      const look = () => {
        if (!holds()) requestAnimationFrame(look);
        else requestAnimationFrame(() => setTimeout(() => {
          resolve(performance.now() - event.timeStamp);
        }));
      };
      requestAnimationFrame(look);
    }, { capture: true, once: true });
  });
}"""
IDLE = """document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning"
  && !document.querySelector("[data-testid=stSkeleton], [data-stale=true]")"""
CANVAS = "[data-testid=kv-canvas]"
VIEW = "['r0', 'r1', 'c0', 'c1'].map((edge) => kenvizMap.dataset[edge]).join()"
DETAIL = "&& kenvizMap.dataset.ready === 'true'"


def timed(page: Page, wire: Wire, meter: Meter, kind: str, done: str, act: Callable[[], None]) -> None:
    """One interaction: ``act`` causes an event ``kind``, after which ``done`` comes true."""
    wire.restart()
    page.evaluate(CLOCK, [kind, done])
    act()
    meter.times.append(page.evaluate("window.kenvizClock"))
    page.wait_for_timeout(400)  # what arrives later belongs to it as well
    meter.sizes.append(wire.bytes)


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(READY)
    page.wait_for_function(IDLE)
    page.wait_for_timeout(1000)


def page_switches(page: Page, wire: Wire, run: str, repeats: int) -> Iterator[Meter]:
    """From a click in the menu until the other page is there, pictures included."""
    open_page(page, f"/?run={run}")
    for name in PAGES:  # the first visit fetches scripts, as it does once in a browser's life
        page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        page.wait_for_timeout(1500)
    meter = Meter("page switch", 700)
    for _ in range(repeats):
        for name in PAGES:
            before = page.get_by_role("heading", level=1).first.inner_text()
            done = f"document.querySelector('h1')?.innerText !== {before!r} && {IDLE}"
            link = page.get_by_role("navigation").get_by_role("link", name=name, exact=True)
            timed(page, wire, meter, "click", done, link.click)
    yield meter


def view_of(page: Page) -> str:
    """An expression that comes true once the map shows something else than now."""
    seen = page.locator(CANVAS).evaluate(
        "(map) => { window.kenvizMap = map; return " + VIEW.replace("kenvizMap", "map") + "; }"
    )
    return f"{VIEW} !== {seen!r}"


def map_steps(page: Page, wire: Wire, what: str, address: str, repeats: int) -> Iterator[Meter]:
    """Steps of wheel and arrow keys on a map: to the next picture, and to full detail."""
    painted = {kind: Meter(f"{kind} to paint, {what}", 60) for kind in ("zoom", "pan")}
    sharp = {kind: Meter(f"{kind} to full detail, {what}", 1000) for kind in ("zoom", "pan")}
    for meters, more in ((painted, ""), (sharp, DETAIL)):
        open_page(page, address)
        page.wait_for_selector(f"{CANVAS}[data-ready=true]")
        area = page.locator(CANVAS).bounding_box()
        assert area
        page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
        for _ in range(repeats):
            done = f"{view_of(page)} {more}"
            timed(page, wire, meters["zoom"], "wheel", done, partial(page.mouse.wheel, 0, -120))
        page.locator(CANVAS).focus()
        for step in range(repeats):
            done, key = f"{view_of(page)} {more}", "ArrowRight" if step % 2 else "ArrowDown"
            timed(page, wire, meters["pan"], "keydown", done, lambda key=key: page.keyboard.press(key))
    yield from (*painted.values(), *sharp.values())


def first_paint(browser: Browser, repeats: int) -> str:
    """Start of a process to the title, in turns with an empty Streamlit app."""
    times = paint_times(browser, repeats)
    ours, theirs = median(times["KEN_viz"]), median(times["empty app"])
    verdict = "met" if ours / theirs <= 1.3 else "MISSED"
    return (
        f"first paint: {ours:.2f} s, an empty Streamlit app {theirs:.2f} s, ratio "
        f"{ours / theirs:.2f}  goal 1.3 {verdict} ({repeats} times)"
    )


@contextmanager
def opened(browser: Browser, home: Path) -> Iterator[tuple[Page, Wire]]:
    with running(home, ROOT / "assets") as url:
        context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.set_default_timeout(120_000)
        yield page, Wire(page)
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", action="store_true", help="4096 x 11008 as well")
    parser.add_argument("--skip-first-paint", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        if not asked.skip_first_paint:
            print(first_paint(browser, asked.repeats), flush=True)
        with opened(browser, Path(folder)) as (page, wire):
            for meter in demo(page, wire, asked.repeats):
                print(meter.line(), flush=True)
        if asked.large:
            big_run.make(Path(folder) / "large")
            with opened(browser, Path(folder) / "large") as (page, wire):
                for meter in large(page, wire, asked.repeats):
                    print(meter.line(), flush=True)
        browser.close()


def slider_moves(page: Page, wire: Wire, what: str, address: str, goal: float, repeats: int) -> Iterator[Meter]:
    """One step of the slider of what is kept, to the exact picture of the open matrix."""
    meter = Meter(f"slider to exact picture, {what}", goal)
    open_page(page, address)
    page.wait_for_selector(f"{CANVAS}[data-ready=true]")
    slider = page.get_by_role("slider", name="Keep", exact=True)
    page.locator(CANVAS).evaluate("(map) => { window.kenvizMap = map; }")
    done = "kenvizMap.dataset.queryMs !== undefined " + DETAIL
    for step in range(repeats + 1):
        page.evaluate("delete kenvizMap.dataset.queryMs")
        timed(page, wire, meter, "input", done, partial(slider.press, "ArrowLeft"))
        if not step:  # the first move ranks the matrix, once
            first = meter.times.pop()
            meter.sizes.pop()
    meter.name += f" (first move {first:.0f} ms)"
    yield meter


def demo(page: Page, wire: Wire, repeats: int) -> Iterator[Meter]:
    yield from page_switches(page, wire, "demo", repeats)
    yield from slider_moves(page, wire, "demo, ken", "/tune?run=demo", 300, repeats)
    yield from map_steps(page, wire, "map of the demo", "/map?run=demo", repeats)
    yield from map_steps(page, wire, "matrix of the demo", "/matrix?run=demo", repeats)


def large(page: Page, wire: Wire, repeats: int) -> Iterator[Meter]:
    """32 blocks, on a matrix of 4096 x 11008."""
    name = f"matrix={big_run.DOWN}"
    yield from map_steps(page, wire, "map, 6.5 billion", "/map?run=big", repeats)
    yield from map_steps(page, wire, "matrix 4096 x 11008", f"/matrix?run=big&{name}", repeats)
    for rule in ("delta", "ken"):
        address = f"/tune?run=big&{name}&keep=0.5&rule={rule}"
        what = f"4096 x 11008, {rule}"
        yield from slider_moves(page, wire, what, address, 800, repeats)


if __name__ == "__main__":
    main()
