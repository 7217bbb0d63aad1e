"""Small indexed PNG pictures of number grids, in the palette's colours."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.uint8]
STEPS = 64
THINNEST = 0.08  # of the longer side: the least width or height of a picture


def encode(indices: Indices, colors: Sequence[str]) -> bytes:
    """A PNG of color type 3: ``indices`` (H, W) into at most 256 ``#RRGGBB`` colors."""
    height, width = indices.shape
    table = b"".join(bytes.fromhex(color.removeprefix("#")) for color in colors)
    lines = np.pad(indices, ((0, 0), (1, 0)))  # filter byte 0 before every line
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", table),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def data_uri(png: bytes) -> str:
    """The picture as an address that a figure can hold."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def enlarge(indices: Indices, side: int) -> Indices:
    """Repeat cells until the longer side has at least ``side`` pixels, so that edges stay sharp."""
    times = max(1, -(-side // max(indices.shape)))
    return indices.repeat(times, axis=0).repeat(times, axis=1)


def true_shape(indices: Indices, shape: tuple[int, int], cell: tuple[int, int], side: int) -> Indices:
    """Cells as a picture with the proportions of the matrix: no pixel shows two cells.

    Args:
        indices: (H, W), cells of ``cell`` weights; the last ones may be cut short.
        shape: rows and columns of the picture; beyond `THINNEST` to one it is drawn thicker than it is.
        side: pixels along the longer side, at least.
    """
    rows, cols = shape
    longer = max(side, *indices.shape)
    high, wide = (max(round(longer * length / max(shape)), round(longer * THINNEST)) for length in shape)
    y = (np.arange(high) + 0.5) * rows / high // cell[0]
    x = (np.arange(wide) + 0.5) * cols / wide // cell[1]
    return np.asarray(indices[y.astype(int)[:, None], x.astype(int)[None, :]], np.uint8)


def shades(colors: Sequence[str], steps: int = STEPS) -> list[str]:
    """``colors`` interpolated to ``steps`` colors from low to high."""
    known = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in colors])  # N, 3
    where = np.linspace(0, len(known) - 1, steps)
    mixed = np.stack([np.interp(where, range(len(known)), channel) for channel in known.T], axis=1)
    return [f"#{r:02X}{g:02X}{b:02X}" for r, g, b in np.rint(mixed).astype(int)]


def levels(values: NDArray[Any], low: float, high: float, steps: int = STEPS) -> Indices:
    """Values scaled from low..high to 0..steps - 1; what is outside is clipped, NaN gives 0."""
    span = high - low
    scaled = (values - low) / span if span > 0 else np.zeros(values.shape)
    return np.rint(np.nan_to_num(np.clip(scaled, 0, 1)) * (steps - 1)).astype(np.uint8)
