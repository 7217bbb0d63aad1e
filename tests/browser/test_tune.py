"""Live tuning in a browser: every move paints, the last one wins, a setting becomes a run."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, Request, Route, expect

from kencore import prune
from kencore.live.setting import Setting, totals
from kencore.methods.select import select_rows
from kencore.runs.run import open_run
from tests.app.data.test_answers import decode
from tests.browser.canvas import CANVAS
from tests.browser.conftest import App, visit
from tests.browser.steps import until_true
from tests.pruning.test_by_bytes import coded

QUERY = "bert.encoder.layer.1.attention.self.query.weight"  # 128 x 128: a cell is a weight

# counted by the page itself: news of a request that was given up reaches a test late
COUNT = """() => {
    const ask = window.fetch;
    let flying = 0;
    window.kenvizMostAtOnce = 0;
    window.fetch = (address, ...rest) => {
        if (!String(address).includes("/kenviz/window")) return ask(address, ...rest);
        flying += 1;
        window.kenvizMostAtOnce = Math.max(window.kenvizMostAtOnce, flying);
        return ask(address, ...rest).finally(() => { flying -= 1; });
    };
}"""


def open_sliders(tab: Page, **query: object) -> Page:
    address = "&".join(f"{name}={value}" for name, value in {"run": "demo", **query}.items())
    visit(tab, f"tune?{address}")
    tab.wait_for_selector(f"{CANVAS}[data-ready=true]")
    return tab


def move(tab: Page, percent: float) -> None:
    tab.locator("#keep").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", percent
    )


def painted(tab: Page, query: str) -> None:
    tab.wait_for_selector(f"{CANVAS}[data-ready=true][data-query='{query}']")


def test_thirty_moves_end_with_the_last_one_and_pile_nothing_up(tab: Page) -> None:
    open_sliders(tab, matrix=QUERY)
    move(tab, 40)
    painted(tab, "live=0.4")  # the rows are ranked
    tab.evaluate(COUNT)
    last: list[Request] = []

    def sent(request: Request) -> None:
        if "/kenviz/window" in request.url and "live=0.49&" in request.url:
            last[:] = [request]

    tab.on("request", sent)
    for i in range(30):
        move(tab, 20 + i)
        tab.wait_for_timeout(90)
    painted(tab, "live=0.49")
    # the whole in few cells, and the window in sight
    assert 1 <= tab.evaluate("window.kenvizMostAtOnce") <= 2
    response = last[0].response()
    assert response is not None
    _, planes = decode(response.body())
    demo = open_run("demo")
    wanted = select_rows(demo.values(QUERY), None, 63, "ken")  # 0.49 of 128
    np.testing.assert_array_equal(planes["kept"].astype(bool), wanted)
    until_true(tab, "location.search.includes('keep=0.49')")
    said = totals(demo, Setting(keep=0.49))
    expect(tab.get_by_text(f"Keeps {said.kept:,} of {said.pruned:,}")).to_be_visible()
    tab.reload()
    painted(tab, "live=0.49")


def test_an_old_picture_is_veiled_until_the_new_one_has_come(tab: Page) -> None:
    open_sliders(tab, matrix=QUERY)
    veil = tab.get_by_test_id("kv-veil")
    expect(veil).to_be_hidden()
    held: list[Route] = []
    slow = [True]
    tab.route(re.compile("/kenviz/window.*live="), lambda r: held.append(r) if slow else r.continue_())
    move(tab, 35)
    expect(veil).to_have_text("Getting ready: the weights that this setting keeps")
    expect(tab.locator(".st-key-late-title")).to_contain_text("35 %")  # Python has answered, the picture has not come
    expect(veil).to_be_visible()
    slow.clear()
    for route in held:
        route.continue_()
    painted(tab, "live=0.35")
    expect(veil).to_be_hidden()


def test_what_only_a_worker_can_make_is_veiled_at_the_first_move(tab: Page) -> None:
    visit(tab, "tune?run=demo-lm")
    tab.wait_for_selector(f"{CANVAS}[data-ready=true]")
    tab.get_by_text("Measure at rest").click()
    veil = tab.get_by_test_id("kv-veil")
    own = float(tab.locator("#keep").input_value())
    move(tab, own + 20)
    expect(veil).to_contain_text("Painted once this setting is measured")
    expect(tab.get_by_text("Not measured yet.")).to_be_visible()  # Python has answered
    expect(veil).to_be_visible()
    move(tab, own)
    expect(veil).to_be_hidden()


def test_a_setting_is_measured_and_becomes_one_run(tab: Page, app: App) -> None:
    open_sliders(tab, matrix=QUERY, keep=0.3)
    tab.get_by_role("button", name="Measure this setting").click()
    save = tab.get_by_role("button", name="Save as a run")
    expect(save).to_be_visible(timeout=180_000)
    save.dblclick()
    expect(tab.get_by_text("Saved as ken-0.3-tuned")).to_be_visible()
    with app.store():
        from kencore.runs.shelf import list_runs

        made = [run for run in list_runs() if "-tuned-" in run.id]
    assert len(made) == 1
    assert open_run(made[0].path).totals["kept"] == totals(open_run("demo"), Setting(keep=0.3)).kept
    assert len(app.jobs("retune")) >= 1


def test_the_size_of_a_coded_run_is_moved_and_its_picture_is_that_of_a_pruning(
    tab: Page, app: App, tmp_path: Path
) -> None:
    made = coded(tmp_path, bits=14)
    shutil.copytree(made.path, app.home / "runs" / "coded")
    wanted = prune(replace(made.spec, bits=8), out=tmp_path / "wanted", threads=1)
    name = next(name for name, one in made.codes.items() if min(one.shape) > 1 and wanted.codes[name].data != one.data)
    open_sliders(tab, run="coded", matrix=name, layer="levels")
    tab.locator("#keep").focus()
    for _ in range(6):
        tab.keyboard.press("ArrowLeft")
    until_true(tab, "location.search.includes('bits=8')")  # eight steps halve it
    with tab.expect_request(
        lambda sent: "/kenviz/window" in sent.url and "made=" in sent.url, timeout=180_000
    ) as asked:
        pass  # a small model is measured at rest
    response = asked.value.response()
    assert response is not None
    _, planes = decode(response.body())
    expect(tab.get_by_role("button", name="Save as a run")).to_be_visible()
    rows, columns = planes["levels"].shape
    np.testing.assert_array_equal(planes["levels"], wanted.values(name, "levels")[:rows, :columns])
    shutil.rmtree(app.home / "runs" / "coded")  # other tests know what is in the list


def test_a_balance_slider_by_keyboard_holds_the_total_and_back_undoes_it(tab: Page) -> None:
    open_sliders(tab, matrix=QUERY)
    tab.get_by_text("Balance: ").click()
    slider = tab.get_by_label("attention query", exact=True)
    slider.focus()
    for _ in range(4):
        slider.press("ArrowUp")
    painted(tab, "live=0.5%7Eq*2")
    share = totals(open_run("demo"), Setting(keep=0.5, balance=("q=2",))).shares["q"]
    expect(slider).to_have_attribute("aria-valuetext", f"times 2, keeps {100 * share:.1f} % of attention query")
    expect(tab.get_by_text("Total held exactly")).to_be_visible()
    until_true(tab, "location.search.includes('eq=')")
    tab.get_by_role("button", name="Reset balance").click()
    painted(tab, "")
    until_true(tab, "!location.search.includes('eq=')")
    tab.go_back()
    painted(tab, "live=0.5%7Eq*2")
