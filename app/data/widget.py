"""The map of weights as a widget of a notebook: the kernel answers what the app's server answers elsewhere.

The package names the functions below as its entry points ``kencore.widgets``: the library finds them there, and never
imports them. Needs `anywidget`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import anywidget
import traitlets

from app import viewer
from app.data import answers, atlas, live, payload
from app.data.held import LAYERS, theme
from app.viewer.bundle import bundle
from kencore.errors import KencoreError, SpecError
from kencore.live import setting as settings
from kencore.live.ranking import live_run, why_not_live
from kencore.live.setting import Setting
from kencore.views import damage
from kencore.views import window as views
from kencore.words import matrices
from kencore.words import numbers as wording
from kencore.words.palette import DARK, LIGHT

if TYPE_CHECKING:
    from kencore.runs.run import Run

NUMBERS: Final = ("r0", "r1", "c0", "c1", "h", "w", "row", "col")


class WeightMap(anywidget.AnyWidget):  # type: ignore[misc]
    """What stands in the notebook; ``cell`` is what is looked at: {"matrix", "row", "col"}, each may be ``None``."""

    _esm = f"const made = {bundle('widget.js')};\nexport default {{ render: made.render }};\n"
    _css = (
        f"{theme('.kv-widget', LIGHT)}\n{theme('.kv-widget[data-theme=dark]', DARK)}\n{viewer.STYLE}\n"
        ".kv-widget{padding:.5rem;background:var(--st-background-color)}\n"
        ".kv-slider{display:flex;gap:.75rem;align-items:center;margin-bottom:.5rem;color:var(--st-text-color)}\n"
        ".kv-slider input{flex:0 1 22rem;accent-color:var(--st-primary-color)}"
    )
    data = traitlets.Dict().tag(sync=True)
    budget = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    cell = traitlets.Dict().tag(sync=True)

    def __init__(self, run: Run, **traits: Any) -> None:
        super().__init__(**traits)
        self.run = run
        self.on_msg(self._asked)

    def _asked(self, _widget: Any, message: dict[str, Any], _buffers: Any) -> None:
        """One question of the page; see `widget.js`."""
        status, body = answer(self.run, str(message["path"]), dict(message["query"]))
        self.send({"id": message["id"], "status": status}, buffers=[body])


def explore(run: Run, matrix: str | None = None) -> WeightMap:
    """The map of a run, or of one of its matrices.

    Raises:
        MatrixNotFoundError: no such matrix.
    """
    usual = damage.usual(run.matrices)
    line = None if matrix is None else run.matrix(matrix)
    layer = LAYERS[usual.measure] if line is None else "kept"
    return WeightMap(run, data=_data(run, line, layer) | {"lost": usual.known and line is None})


def adjust(run: Run, matrix: str | None = None) -> WeightMap:
    """One matrix of a run with a slider for how much of every row is kept.

    Args:
        matrix: its name; ``None``: the largest that was pruned.

    Raises:
        MatrixNotFoundError: no such matrix.
        SpecError: its mask does not follow from the weights alone, or the matrix was not pruned.
    """
    pruned = run.matrices[run.matrices["status"] == "pruned"]
    name = matrix or str(pruned.nlargest(1, "params")["name"].iloc[0])
    line, own = run.matrix(name), settings.own_setting(run)
    if line["status"] != "pruned":
        raise _not_to_adjust(name, f"it was not pruned: {line['reason']}", "Choose another matrix.")
    if reason := why_not_live(run, own, name):
        again = "at another size: `bits=0.5`" if run.spec.coded else "with another share"
        raise _not_to_adjust(name, reason, f"Prune again {again}.")
    if own.keep is None:
        raise _not_to_adjust(name, "the run keeps k weights of each row", "Prune with a share: `keep=0.3`.")
    rest = own.text.split("~")[1:]
    return WeightMap(run, data=_data(run, line, "kept"), budget={"keep": own.keep, "rest": rest})


def _not_to_adjust(name: str, got: str, remedy: str) -> SpecError:
    wanted = "a pruned matrix whose mask follows from the weights and a kept share"
    return SpecError(f"matrix {name}", got=got, wanted=wanted, remedy=remedy)


def _data(run: Run, line: Any, layer: str) -> dict[str, Any]:
    title = run.id if line is None else matrices.title(line, run.matrices)
    source = viewer.source(run, title, line)
    return {
        "palettes": {"light": LIGHT.to_json(), "dark": DARK.to_json()},
        "sources": [asdict(source)],
        "view": asdict(viewer.View(layer=layer)),
        "usual": "kept",
        "lost": False,
    }


def answer(run: Run, path: str, query: dict[str, Any]) -> tuple[int, bytes]:
    """What the app's server would answer to a question of the map: its status and its body."""
    try:
        asked = {name: int(value) if name in NUMBERS else str(value) for name, value in query.items()}
        return 200, _answer(run, path, asked)
    except KencoreError as error:
        status, said = answers.refusal(error)
        return status, json.dumps(said).encode()
    except (KeyError, ValueError) as error:  # a page of another version
        return 400, json.dumps({"message": f"Not a question of this map: {error}"}).encode()


def _answer(run: Run, path: str, asked: dict[str, Any]) -> bytes:
    if path == "atlas":
        return atlas.atlas_bytes(run)
    setting = Setting.from_text(asked["live"]) if "live" in asked else None
    if path == "setting":
        return json.dumps({"said": _said(run, setting or settings.own_setting(run))}).encode()
    name = asked["matrix"]
    shown = run if setting is None else live_run(run, name, setting)
    if path == "cell":
        return json.dumps(views.cell(shown, name, asked["row"], asked["col"])).encode()
    if path != "window":
        raise ValueError(path)
    span = {edge: asked.get(edge) for edge in answers.WINDOW}
    cells = (asked["h"], asked["w"]) if "h" in asked else None
    answers.check_area(run.shape(name), span, cells or (1, 1), "window", answers.MOST_CELLS)
    return payload.window_bytes(shown, name, asked.get("layer", "kept"), span, cells)


def _said(run: Run, setting: Setting) -> str:
    """What a setting comes to."""
    found = live.comes_to(run, setting, "")
    if found["worker"] is not None:
        return f"{wording.exact(found['kept'])} of {wording.exact(found['pruned'])} weights"
    share = wording.percent(found["kept"] / found["pruned"])
    return f"{share} of {wording.exact(found['pruned'])} weights, {wording.size(found['bytes_stored'])} stored"
