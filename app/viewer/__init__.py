"""The weight map: a canvas that zooms from a whole matrix to a single weight.

Python says which matrix and which view; the browser asks ``/kenviz/window`` for the weights by
itself, draws them and keeps the address up to date. Only a click on a weight comes back. The
scripts in ``js/`` are plain modules, sent by `app.data.answers` under an address that holds their version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from kencore.words.palette import DARK, LIGHT

if TYPE_CHECKING:
    from streamlit.components.v2.types import ComponentRenderer

FOLDER: Final = Path(__file__).resolve().parent
SCRIPTS: Final = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("js/*.js"))}
STYLE: Final = (FOLDER / "viewer.css").read_text("utf-8")
VERSION: Final = sha256("".join(SCRIPTS.values()).encode()).hexdigest()[:12]
RESET: Final = ("hidden", "shown")

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

    The fields are in the order in which the script writes them.
    """

    r0: int | None = None
    r1: int | None = None
    c0: int | None = None
    c1: int | None = None
    row: int | None = None
    col: int | None = None
    layer: str = "kept"
    reset: str = "hidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The matrix to show, and the identity of the run's files.

    ``query`` is added to every request for its weights: a setting to select with, another run to
    compare with. Where nothing else changes but it and ``title``, the map keeps its window, its
    selection and the picture until the new one is there. A script of the page can change it too:
    ``window.dispatchEvent(new CustomEvent("kenviz:query", {detail: {run, matrix, query}}))``.
    """

    run: str
    matrix: str
    stamp: str
    rows: int
    cols: int
    title: str
    restore: str = "base"  # what entries that are not kept become: the base's value, or zero
    updated: bool = False  # the pruned model's kept values are not the dense model's
    query: dict[str, str] = field(default_factory=dict)


def api(path: str = "", **params: str) -> str:
    """The address of the weights' data, or of ``path`` below it."""
    import streamlit as st

    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    root = f"/{base}/kenviz" if base else "/kenviz"
    return root + (f"/{path}" if path else "") + (f"?{urlencode(params)}" if params else "")


_mounts: list[ComponentRenderer] = []


def mount() -> ComponentRenderer:
    """The component that draws every map."""
    import streamlit as st

    if not _mounts:
        _mounts.append(
            st.components.v2.component("kenviz.weight_map", html='<div class="kv"></div>', css=STYLE, js=LOADER)
        )
    return _mounts[0]


def common() -> dict[str, Any]:
    """What every map is told: where its data and scripts are, and the colours."""
    return {
        "api": api(),
        "version": VERSION,
        "scripts": list(SCRIPTS),
        "palettes": {"light": LIGHT.to_json(), "dark": DARK.to_json()},
    }


def weight_map(
    source: Source, view: View, *, key: str, on_cell: Callable[[], None] | None = None
) -> dict[str, int] | None:
    """Draw the map; returns the selected weight as ``{"row": .., "col": ..}``, or None.

    ``view`` is where the map starts and where it goes when a link changes; in between the
    browser decides. ``on_cell`` runs before the script does when another weight is selected.
    """
    data = common() | {"source": asdict(source), "view": asdict(view)}
    start = None if view.row is None else {"matrix": source.matrix, "row": view.row, "col": view.col}
    result = mount()(key=key, data=data, default={"cell": start}, on_cell_change=on_cell or (lambda: None))
    cell: dict[str, int] | None = result.cell
    return cell
