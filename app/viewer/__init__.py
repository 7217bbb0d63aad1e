"""The map of weights: a canvas that zooms from a whole model, or one matrix, to a single weight.

Python says which run and which view; the browser asks ``/kenviz/window`` for the weights by
itself, draws them and keeps the address up to date. Only a click on a weight comes back. The
scripts in ``js/`` are plain modules, sent by `app.data.answers` under an address that holds their version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from app.frame import state
from kencore.words.palette import DARK, LIGHT

if TYPE_CHECKING:
    import pandas as pd
    from streamlit.components.v2.types import ComponentRenderer

    from kencore.runs.run import Run

    Line = pd.Series[Any]

FOLDER: Final = Path(__file__).resolve().parent
SCRIPTS: Final = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("js/*.js"))}
STYLE: Final = (FOLDER / "viewer.css").read_text("utf-8")
VERSION: Final = sha256("".join(SCRIPTS.values()).encode()).hexdigest()[:12]
RESET: Final = ("hidden", "shown")
RANGES: Final = ("present", "full")

# a script from a blob cannot name others relatively: this one fetches the real ones, all at once
LOADER: Final = """\
export default async function (component) {
  const { api, version, scripts } = component.data;
  const address = (name) => new URL(`${api}/viewer/${version}/${name}`, document.baseURI).href;
  await Promise.all(scripts.map((name) => import(address(name))));
  return (await import(address("main.js"))).default(component);
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a link shows: a window (None: all), a selected weight (None: none) and a layer.

    On the map of a model ``at`` is the matrix that rows and columns are of (None: the whole model).
    Where more than it is in sight, the window goes beyond it, below zero too, with decimals. The
    fields are in the order in which the script writes them.
    """

    at: str | None = None
    r0: float | None = None
    r1: float | None = None
    c0: float | None = None
    c1: float | None = None
    row: int | None = None
    col: int | None = None
    layer: str = "kept"
    reset: str = "hidden"
    range: str = "present"  # of the colours of shares on the map of a model; full: 0 to 100 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Guided:
    """A place of a guided zoom over a model: the map flies there when the place changes, and leaves the address alone.

    Attributes:
        near: how close: ``model``, ``block``, ``matrix``, ``row`` or ``weight``.
        matrix, row, col: where, as far as it is that close.
        bare: nothing to save or to choose stands around the map.
    """

    near: str
    matrix: str | None = None
    row: int | None = None
    col: int | None = None
    bare: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A run to show, all of it or one matrix, and the identity of its files.

    ``query`` is added to every request for the weights of that matrix: a setting to select with,
    another run to compare with. Where nothing else changes but it and ``title``, the map keeps its
    window, its selection and the picture until the new one is there. A script of the page can change
    it too: ``window.dispatchEvent(new CustomEvent("kenviz:query", {detail: {run, matrix, query}}))``.
    """

    run: str
    stamp: str
    title: str
    restore: str  # what entries that are not kept become: the base's value, or zero
    coded: bool = False  # changes are stored in a code, so they have levels
    matrix: str | None = None
    rows: int | None = None
    cols: int | None = None
    query: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What only a worker can make: a setting, and what its picture waits for (None: all is there).

    A script of the page says it first, as ``due`` in the event of `Source`.
    """

    setting: str
    words: str | None


def source(
    run: Run, title: str, line: Line | None = None, *, query: dict[str, str] | None = None, other: Run | None = None
) -> Source:
    """What a map is told of a run, and of one matrix of it: ``line`` is its line of `Run.matrices`.

    Args:
        other: another run, whose mask is compared with this one's.
    """
    one: dict[str, Any] = {}
    if line is not None:
        one = {"matrix": str(line["name"]), "rows": int(line["rows"]), "cols": int(line["cols"])}
    stamp = "+".join(state.stamp(each.path) for each in (run, other) if each is not None)
    asked = query or ({} if other is None else {"other": other.id})
    return Source(run=run.id, stamp=stamp, title=title, restore=run.restore, coded=run.spec.coded, query=asked, **one)


def api(path: str = "", **params: str) -> str:
    """The address of the weights' data, or of ``path`` below it."""
    import streamlit as st

    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    root = f"/{base}/kenviz" if base else "/kenviz"
    return root + (f"/{path}" if path else "") + (f"?{urlencode(params)}" if params else "")


_mounts: list[ComponentRenderer] = []


def _mount() -> ComponentRenderer:
    """The component that draws every map."""
    import streamlit as st

    if not _mounts:
        _mounts.append(
            st.components.v2.component("kenviz.weight_map", html='<div class="kv"></div>', css=STYLE, js=LOADER)
        )
    return _mounts[0]


def weight_map(
    sources: Sequence[Source],
    view: View,
    *,
    key: str,
    on_cell: Callable[[], None] | None = None,
    usual: str = "kept",
    lost: bool = False,
    due: Due | None = None,
    guided: Guided | None = None,
) -> dict[str, Any] | None:
    """Draw the map of one matrix, or of a whole model: then of one run, or of two side by side that
    move in step.

    ``view`` is where the map starts and where it goes when a link changes; in between the browser
    decides. Of a model: ``usual`` is the layer that the address need not name, ``lost`` whether the
    runs know what every matrix lost. ``due`` veils the picture. ``guided``: the map is a step of a guided zoom; then
    only a click on a weight comes back.

    Returns:
        The matrix that is looked at and the selected weight, ``{"matrix", "row", "col"}``, each
        ``None`` where there is none. ``on_cell`` runs before the script does when it changes.
    """
    data = {
        "api": api(),
        "version": VERSION,
        "scripts": list(SCRIPTS),
        "palettes": {"light": LIGHT.to_json(), "dark": DARK.to_json()},
        "sources": [asdict(one) for one in sources],
        "view": asdict(view),
        "usual": usual,
        "lost": lost,
        "due": None if due is None else asdict(due),
        "guided": None if guided is None else asdict(guided),
    }
    start = {"matrix": view.at or sources[0].matrix, "row": view.row, "col": view.col}
    found = _mount()(key=key, data=data, default={"cell": start}, on_cell_change=on_cell or (lambda: None))
    cell: dict[str, Any] | None = found.cell
    return cell
