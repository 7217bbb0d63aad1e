"""The map as a widget of a notebook: its module in a page that stands for the notebook, its kernel here."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from playwright.sync_api import Browser, Page, expect

from app.data import widget
from kencore import open_run
from tests.browser.canvas import settled
from tests.browser.steps import until

QUERY = "bert.encoder.layer.1.attention.self.query.weight"
# what a notebook gives to `render`: a model with its state, and messages to and from the kernel
NOTEBOOK = """async ({ esm, css, state }) => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  const heard = new Set();
  const model = {
    get: (name) => state[name], set: (name, value) => { state[name] = value; }, save_changes: () => {},
    on: (kind, act) => heard.add(act), off: (kind, act) => heard.delete(act),
    send: async (message) => {
      const { id, status, body } = await window.kernel(message);
      const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
      for (const act of heard) act({ id, status }, [new DataView(bytes.buffer)]);
    },
  };
  const made = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  const el = document.body.appendChild(document.createElement("div"));
  window.state = state;
  window.leave = made.default.render({ model, el });
}"""


def opened(browser: Browser, made: widget.WeightMap) -> Page:
    page = browser.new_page(viewport={"width": 1000, "height": 800})

    def kernel(message: dict[str, Any]) -> dict[str, Any]:
        status, body = widget.answer(made.run, message["path"], message["query"])
        return {"id": message["id"], "status": status, "body": base64.b64encode(body).decode()}

    page.expose_function("kernel", kernel)
    page.set_content("<body style='background:#101820'></body>")
    state = {name: getattr(made, name) for name in ("data", "budget", "cell")}
    page.evaluate(NOTEBOOK, {"esm": made._esm, "css": made._css, "state": json.loads(json.dumps(state))})
    return page


def test_the_map_of_a_model_in_a_dark_notebook(browser: Browser) -> None:
    page = opened(browser, widget.explore(open_run("demo")))
    try:
        told: list[str] = []
        page.on("pageerror", lambda error: told.append(str(error)))
        canvas = page.locator("canvas.kv-canvas")
        expect(canvas).to_have_attribute("data-ready", "true")
        expect(page.locator(".kv")).to_have_attribute("data-theme", "dark")
        canvas.focus()
        for _ in range(8):  # each goes on from where the map has come to rest
            if settled(page).locator("canvas[data-level=window]").count():
                break
            canvas.press("Enter")
        expect(canvas).to_have_attribute("data-level", "window")
        expect(canvas).to_have_attribute("data-ready", "true")
        canvas.press("Enter")  # one weight
        until(page, lambda: page.evaluate("window.state.cell.row") is not None, "a weight is selected")
        cell = page.evaluate("window.state.cell")
        assert canvas.get_attribute("data-selected") == f"{cell['matrix']},{cell['row']},{cell['col']}"
        page.evaluate("window.leave()")
        assert told == []
    finally:
        page.close()


def test_the_slider_repaints_the_matrix(browser: Browser) -> None:
    run = open_run("demo")
    page = opened(browser, widget.adjust(run, QUERY))
    try:
        canvas = page.locator("canvas.kv-canvas")
        expect(canvas).to_have_attribute("data-ready", "true")
        slider = page.get_by_label("Kept share")
        slider.fill("0.25")
        expect(canvas).to_have_attribute("data-query", "live=0.25")
        expect(canvas).to_have_attribute("data-ready", "true")
        expect(page.locator("output")).to_have_text(re.compile(r"^25\.\d\s% of [\d,]+ weights, .* stored$"))
        slider.fill(str(run.spec.keep))
        expect(canvas).to_have_attribute("data-query", "")
    finally:
        page.close()
