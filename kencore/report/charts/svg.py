"""A drawing as SVG text: the same drawing gives the same text."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from html import escape

from kencore.report.charts.canvas import Box, Dot, Drawing, Path, Pixels, Shares, Words, colors
from kencore.words.palette import Palette

FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
Paint = Callable[[str], str]


def svg(drawing: Drawing, name: str, title: str, alt: str, palette: Palette | None = None) -> str:
    """The drawing with ``title`` and ``alt`` for screen readers.

    Args:
        name: unique among the pictures of a page; letters, digits and hyphens.
        palette: its colours are written down; ``None`` leaves them to the page, as ``var(--kept)``.
    """
    paint = _paint(palette)
    width, height = number(drawing.width), number(drawing.height)
    hatch = any(isinstance(mark, Box) and mark.hatch for mark in drawing.marks)
    alone = ' xmlns="http://www.w3.org/2000/svg"' if palette else ""
    lines = [
        f'<svg{alone} viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc" font-family="{escape(FONT)}">',
        f'<title id="{name}-title">{escape(title)}</title>',
        f'<desc id="{name}-desc">{escape(alt)}</desc>',
    ]
    if palette:
        lines.append(f'<rect width="{width}" height="{height}" fill="{palette.background}"/>')
    if hatch:
        lines.append(
            f'<pattern id="{name}-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate(45)"><path d="M0 0V6" style="stroke:{paint("reset_mark")}" '
            'stroke-width="2.4"/></pattern>'
        )
    for i, mark in enumerate(drawing.marks):
        if isinstance(mark, Box):
            lines.append(_box(mark, f"{name}-hatch", paint))
        elif isinstance(mark, Path):
            lines.append(_path(mark, paint))
        elif isinstance(mark, Dot):
            lines.append(_dot(mark, paint))
        elif isinstance(mark, Words):
            lines.append(_words(mark, paint))
        else:
            lines.append(_shares(mark, f"{name}-{i}", paint))
    return "\n".join([*lines, "</svg>"])


def number(value: float) -> str:
    """A length without needless digits."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def _paint(palette: Palette | None) -> Paint:
    known = colors(palette) if palette else {}

    def paint(color: str) -> str:
        if color.startswith("#"):
            return color
        return known[color] if palette else f"var(--{color.replace('_', '-')})"

    return paint


def _box(mark: Box, hatch: str, paint: Paint) -> str:
    place = f'x="{number(mark.x)}" y="{number(mark.y)}" width="{number(mark.width)}" height="{number(mark.height)}"'
    seen = "" if mark.opacity == 1 else f' opacity="{number(mark.opacity)}"'
    text = f'<rect {place} style="fill:{paint(mark.fill)}"{seen}/>'
    return text + (f'<rect {place} fill="url(#{hatch})"/>' if mark.hatch else "")


def _path(mark: Path, paint: Paint) -> str:
    way = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in mark.points)
    if mark.fill is not None:
        return f'<path d="{way}Z" style="fill:{paint(mark.fill)}" opacity="{number(mark.opacity)}"/>'
    dash = f' stroke-dasharray="{" ".join(map(number, mark.dash))}"' if mark.dash else ""
    return (
        f'<path d="{way}" fill="none" style="stroke:{paint(mark.stroke or "text")}" '
        f'stroke-width="{number(mark.width)}" stroke-linejoin="round"{dash}/>'
    )


def outline(mark: Dot) -> list[tuple[float, float]]:
    """The corners of a mark that has some; empty for a circle."""
    x, y, r = mark.x, mark.y, mark.radius
    if mark.shape == "square":
        r *= 0.9
        return [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)]
    if mark.shape == "diamond":
        r *= 1.25
        return [(x, y - r), (x + r, y), (x, y + r), (x - r, y)]
    if mark.shape == "triangle":
        r *= 1.2
        return [(x - r, y - r), (x + r, y), (x - r, y + r)]
    return []


def _dot(mark: Dot, paint: Paint) -> str:
    fill = paint("background") if mark.open else paint(mark.color)
    look = f'style="fill:{fill};stroke:{paint(mark.color)}" stroke-width="2"'
    corners = outline(mark)
    if not corners:
        return f'<circle cx="{number(mark.x)}" cy="{number(mark.y)}" r="{number(mark.radius)}" {look}/>'
    way = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in corners)
    return f'<path d="{way}Z" {look}/>'


def _words(mark: Words, paint: Paint) -> str:
    x, y = number(mark.x), number(mark.y)
    turned = f' transform="rotate(-90 {x} {y})"' if mark.turned else ""
    anchor = "" if mark.anchor == "start" else f' text-anchor="{mark.anchor}"'
    bold = ' font-weight="600"' if mark.bold else ""
    return (
        f'<text x="{x}" y="{y}" font-size="{number(mark.size)}"{anchor}{bold}{turned} '
        f'style="fill:{paint(mark.color)}">{escape(mark.text)}</text>'
    )


def _shares(mark: Shares, name: str, paint: Paint) -> str:
    """Kept over reset through a mask, so that one picture serves both themes."""
    place = f'x="{number(mark.x)}" y="{number(mark.y)}" width="{number(mark.width)}" height="{number(mark.height)}"'
    source = "data:image/png;base64," + base64.b64encode(gray_png(mark.data)).decode()
    return (
        f'<mask id="{name}" maskUnits="userSpaceOnUse" {place}><image {place} '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{source}"/></mask>'
        f'<rect {place} style="fill:{paint("reset")}"/>'
        f'<rect {place} style="fill:{paint("kept")}" mask="url(#{name})"/>'
    )


def gray_png(data: Pixels) -> bytes:
    """An 8-bit gray PNG of (h, w) values, the same bytes each time."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = data.shape
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in data)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
