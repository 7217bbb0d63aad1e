"""What all pictures of a report share: their look in matplotlib, and how they become SVG or PNG.

A picture is drawn in the colours of the light palette. In a page each of these becomes the name of
a colour, as ``var(--kept)``, so that the reader's theme decides; any other colour is the same in
light and dark.
"""

from __future__ import annotations

import io
import re
import textwrap
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray
from PIL import Image

from kencore.report.style import FONT, colors
from kencore.words import numbers as wording
from kencore.words.palette import LIGHT

WIDTH: Final = 680  # pixels of every picture
SCALE: Final = 2  # pixels of a PNG per pixel of the picture
LEVELS: Final = 16  # of shares in a picture: more cannot be told apart and take more room
_DPI: Final = 72  # makes a point a pixel
_LETTER: Final = 7  # pixels of a letter, with some room: fonts differ
_LOOK: Final = {
    "axes.axisbelow": True,
    "axes.edgecolor": LIGHT.reset_mark,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": LIGHT.muted,
    "axes.labelpad": 8,
    "figure.facecolor": LIGHT.background,
    "font.size": 12,
    "grid.color": LIGHT.border,
    "grid.linewidth": 1,
    "hatch.linewidth": 1.5,
    "legend.borderaxespad": 0,
    "legend.borderpad": 0.1,
    "legend.columnspacing": 1.5,
    "legend.frameon": False,
    "legend.handleheight": 0.9,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "lines.linewidth": 2,
    "lines.markersize": 8,
    "svg.fonttype": "none",
    "svg.hashsalt": "kencore",
    "text.color": LIGHT.text,
    "text.parse_math": False,
}


@contextmanager
def styled() -> Iterator[None]:
    """The look of a report, whatever a matplotlibrc file of the reader says; also a decorator."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_LOOK)
        yield


# --- axes -------------------------------------------------------------------------------------


def plot(
    tall: float, *, left: float = 96, right: float = 24, top: float = 12, bottom: float = 46, keys: Sequence[str] = ()
) -> Any:
    """Axes, `WIDTH` - left - right times ``tall`` pixels, with room for a `legend` of ``keys``."""
    if keys:
        top = 10 + 20 * -(-len(keys) // _columns(keys))
    high = top + tall + bottom
    drawing = Drawing(figsize=(WIDTH / _DPI, high / _DPI), dpi=_DPI)
    wide = (WIDTH - left - right) / WIDTH
    axes = drawing.add_axes((left / WIDTH, bottom / high, wide, tall / high))
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.tick_params(length=0, pad=8, labelcolor=LIGHT.muted)
    return axes


def rows(names: Sequence[str], step: float, *, left: float = 190, right: float = 30, keys: Sequence[str] = ()) -> Any:
    """A `plot` with a name down the left for each of 0, 1 ..., ``step`` pixels apart; long names
    over two lines.
    """
    axes = plot(step * len(names), left=left, right=right, keys=keys)
    axes.set(ylim=(len(names) - 0.5, -0.5), yticks=[])
    for i, name in enumerate(names):
        parts = textwrap.wrap(name, int(left / _LETTER))[:2]
        for j, part in enumerate(parts):
            at = (-10, 7 * (len(parts) - 1) - 14 * j)
            look = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "center_baseline"}
            words(axes, part, (0, i), at, **look)
    return axes


def words(axes: Any, text: str, place: tuple[float, float], shift: tuple[float, float], **look: Any) -> None:
    """A line of text so many pixels to the right of a place and above it."""
    axes.annotate(text, place, shift, textcoords="offset points", **({"ha": "center"} | look))


def legend(axes: Any) -> None:
    """Names of all that has a label, above the axes."""
    marks, names = axes.get_legend_handles_labels()
    axes.figure.legend(marks, names, loc="upper left", bbox_to_anchor=(0, 1), ncols=_columns(names))


def _columns(names: Sequence[str]) -> int:
    """How many names of a legend stand in a line."""
    wide = [_LETTER * len(name) + 40 for name in names]
    return len(names) if sum(wide) <= WIDTH else max(1, WIDTH // max(wide))


def say(axis: Any, label: Callable[[float], str] = "{:,g}".format, *, logs: bool = False) -> None:
    """Round ticks of an axis in words: at most seven, or on a log scale 1, 2 and 5 of each power of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if logs else MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: label(value))


def percent(share: float, _: object = None) -> str:
    """A share as a tick."""
    return wording.percent(share, 0)


def shares(axes: Any, data: NDArray[np.uint8], place: tuple[float, float, float, float]) -> None:
    """A picture of shares (h, w), 0 reset to 255 kept, in `LEVELS` steps; each cell as one even
    area.

    Args:
        place: left, right, bottom and top on the axes.
    """
    left, right, bottom, top = place
    edge = [left, right, right, left], [bottom, bottom, top, top]
    axes.fill(*edge, color=LIGHT.reset, linewidth=0, clip_on=False)
    shown = np.empty((*data.shape, 4), np.uint8)  # h, w, RGBA
    shown[..., :3] = [int(LIGHT.kept[i : i + 2], 16) for i in (1, 3, 5)]
    shown[..., 3] = data
    look = {"interpolation": "none", "aspect": "auto", "zorder": 2, "clip_on": False}
    axes.imshow(shown, extent=place, gid=f"shares{len(axes.images)}", **look)


# --- files ------------------------------------------------------------------------------------


def png(drawing: Any) -> bytes:
    """The picture in light colours, `SCALE` times as large; the same bytes each time."""
    target = io.BytesIO()
    with styled():
        drawing.savefig(target, format="png", dpi=SCALE * _DPI, metadata={"Software": None})
    return target.getvalue()


def svg(drawing: Any, name: str, title: str, alt: str, *, alone: bool = False) -> str:
    """The picture with ``title`` and ``alt`` for screen readers; the same text each time.

    Args:
        name: unique among the pictures of a page; letters, digits and hyphens.
        alone: a file of its own, in light colours; else part of a page that has the colours.
    """
    target, unsaid = io.StringIO(), dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with styled():
        drawing.savefig(target, format="svg", transparent=not alone, metadata=unsaid)
    drawn = ElementTree.fromstring(target.getvalue())
    drawn.remove(drawn[0])  # its style sheet would hold for the whole page
    names = {} if alone else {color: f"var(--{word})" for word, color in colors(LIGHT).items()}
    wide, high = (f"{_DPI * inches:g}" for inches in drawing.get_size_inches())
    root = Element("svg", {"xmlns": "http://www.w3.org/2000/svg"} if alone else {})
    root.attrib |= {"viewBox": f"0 0 {wide} {high}", "width": wide, "height": high}
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title {name}-desc"}
    root.attrib |= {"font-family": FONT, "stroke-linejoin": "round"}
    for tag, text in (("title", title), ("desc", alt)):
        ElementTree.SubElement(root, tag, id=f"{name}-{tag}").text = text
    root.extend(part for child in drawn for part in _own(child, name, names))
    return ElementTree.tostring(root, encoding="unicode")


def _own(element: Element, name: str, names: dict[str, str]) -> list[Element]:
    """An element of matplotlib's for a page with many pictures: ids that no other has, colours by
    name, short numbers, and in place of a group that says nothing what is in it.
    """
    tag = element.tag.rpartition("}")[2]
    found = {key.rpartition("}")[2]: " ".join(text.split()) for key, text in element.items()}
    if tag == "g":
        found.pop("id", None)
    if "fill" in found:  # of a hatch: a name is a style's, not an attribute's
        found["style"] = f"fill: {found.pop('fill')}"
    if found.get("transform", "").startswith("rotate(-0 "):
        del found["transform"]
    own = Element(tag, {key: _value(key, text, name, names) for key, text in found.items()})
    own.text = element.text if tag == "text" else None
    own.extend(part for child in element for part in _own(child, name, names))
    if tag == "image":
        return _masked(own, names.get(LIGHT.kept, LIGHT.kept))
    return list(own) if tag == "g" and not found else [own]


def _value(key: str, text: str, name: str, names: dict[str, str]) -> str:
    """What an attribute is in a page."""
    if key == "id":
        return f"{name}-{text}"
    if key in ("href", "clip-path"):
        return text.replace("#", f"#{name}-", 1)
    if key in ("d", "x", "y"):
        return re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", text)
    if key == "style":
        text = re.sub(r"font-family:[^;]*;? ?", "", text).replace("url(#", f"url(#{name}-")
        return re.sub(r"#[0-9a-f]{6}", lambda found: names.get(found[0].upper(), found[0]), text)
    return text


def _masked(image: Element, color: str) -> list[Element]:
    """A colour seen through a picture of shares, so that one picture serves both themes."""
    source = io.BytesIO(b64decode(image.attrib["href"].partition(",")[2]))
    target = io.BytesIO()
    alpha = Image.open(source).getchannel("A")
    alpha.quantize(LEVELS).save(target, "png", optimize=True)
    image.set("href", "data:image/png;base64," + b64encode(target.getvalue()).decode())
    own, place = image.attrib.pop("id"), image.attrib.pop("transform")
    mask = Element("mask", id=own)
    mask.append(image)
    shown = {key: image.attrib[key] for key in ("width", "height")}
    shown |= {"style": f"fill: {color}", "mask": f"url(#{own})", "transform": place}
    return [mask, Element("rect", shown)]
