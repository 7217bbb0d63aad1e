"""What a person does from the first screen to one weight, in one go, with the demo as shipped."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, expect
from safetensors import safe_open

from tests.browser.canvas import point, settled, zoom_in
from tests.browser.conftest import ROOT, App, visit
from tests.browser.steps import SLOW, keep, measure_for_long, measure_nothing, panel, press
from tests.browser.test_matrix import shown, tip

NAME = "bert.encoder.layer.2.attention.self.query.weight"


def test_from_the_first_screen_to_one_weight(tab: Page, app: App, tmp_path: Path) -> None:
    visit(tab, "")  # the demo, pruned already, with its measured quality
    expect(tab.get_by_role("heading", level=1)).to_contain_text(re.compile(r"KEN keeps .*accuracy"))
    tab.locator(".st-key-model-map .js-plotly-plot .main-svg").first.wait_for()

    tab.get_by_role("link", name="Prune").click()  # one job is started and cancelled
    measure_for_long(tab, tmp_path)
    keep(tab, -13)
    press(tab, "Start pruning")
    cancelled = panel(tab)
    press(tab, "Cancel")
    expect(tab.get_by_text("Cancelled. Nothing was written.")).to_be_visible(timeout=SLOW)

    measure_nothing(tab)  # another one ends
    keep(tab, 20)
    press(tab, "Start pruning")
    expect(tab.get_by_text("Finished in")).to_be_visible(timeout=SLOW)
    finished = panel(tab)
    states = {job.id: job.state for job in app.jobs() if job.id in (cancelled, finished)}
    assert states == {cancelled: "cancelled", finished: "succeeded"}

    visit(tab, f"matrix?run={finished}&matrix={NAME}&layer=tuned")
    settled(tab)
    zoom_in(tab, 14)
    tab.mouse.move(*point(tab, 0.5, 0.52))
    (row, col), said = tip(tab)
    for side, label in (("tuned", "Tuned"), ("base", "Base")):
        file = ROOT / "assets" / "demo" / "encoder" / side / "model.safetensors"
        with safe_open(file, "numpy") as checkpoint:
            weights = checkpoint.get_tensor(NAME)
        assert np.float32(said[label]) == np.float32(weights[row, col])

    tab.mouse.click(*point(tab, 0.5, 0.52))
    tab.mouse.move(5, 5)
    settled(tab)
    view, link = shown(tab), tab.url
    assert view["selected"] == f"{row},{col}"
    other = tab.context.new_page()
    visit(other, link)
    settled(other)
    assert shown(other) == view
