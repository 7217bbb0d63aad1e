"""The viewer's modules as one script."""

from __future__ import annotations

import re
from graphlib import CycleError

import pytest

from app import viewer
from app.viewer import bundle


@pytest.fixture(autouse=True)
def fresh() -> None:
    bundle.bundle.cache_clear()


def test_every_module_that_is_needed_stands_before_those_that_need_it() -> None:
    text = bundle.bundle("main.js")
    order = re.findall(r'^modules\["([\w.]+)"\] = ', text, re.M)
    assert len(order) == len(set(order))
    assert set(order) == set(viewer.SCRIPTS) - {"held.js", "widget.js"}
    for name in order:
        needed = re.findall(r'from "\./([\w.]+)"', viewer.SCRIPTS[name])
        assert all(order.index(other) < order.index(name) for other in needed), name
    assert not re.search(r"^(import|export)\b", text, re.M)


@pytest.mark.parametrize(
    "text",
    [
        'import "./b.js";\n',
        'import one from "./b.js";\n',
        'export { one } from "./b.js";\n',
        "export default 3;\n",
        "export let one = 1;\n",
    ],
)
def test_other_forms_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(viewer.SCRIPTS, "b.js", "export const one = 1;\n")
    monkeypatch.setitem(viewer.SCRIPTS, "a.js", text)
    with pytest.raises(ValueError, match=r"a\.js: .* is not a form that can be bundled"):
        bundle.bundle("a.js")


def test_circles_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(viewer.SCRIPTS, "a.js", 'import { b } from "./b.js";\nexport const a = b;\n')
    monkeypatch.setitem(viewer.SCRIPTS, "b.js", 'import { a } from "./a.js";\nexport const b = a;\n')
    with pytest.raises(CycleError):
        bundle.bundle("a.js")
