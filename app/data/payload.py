"""What goes over the wire: a small JSON header and raw planes, little-endian and aligned.

    bytes 0..3    b"KVW1"
    bytes 4..7    length of the header, uint32
    header        JSON, padded with spaces so that the planes start on a multiple of 8
    planes        one after the other, each starting on a multiple of 8

The header names each plane with its dtype ("u1", "u2", "u4" or "f4") and offset from the first
plane. Of single weights there are always four planes (kept, tuned, base, neighbours), so that the
browser changes layers without asking again, and a fifth, pruned, where a method changed what it kept, with a sixth,
levels, where it coded it;
beside another run there is also ``other`` (what that one keeps). Cells have ``count`` (kept weights,
for which no checkpoint is needed) and, in all layers but kept, ``data``; in the layer ``overlap`` also
the shares ``both``, ``only_a`` and ``only_b``, ``data`` being the share that only one of the two keeps.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kencore.runs.run import Run
    from kencore.views.window import Window

MAGIC = b"KVW1"
ALIGN = 8
PIECE = 1 << 22  # bytes of a mask sent at once


def window_bytes(
    run: Run,
    name: str,
    layer: str,
    span: dict[str, int | None],
    cell: tuple[int, int] | None = None,
    other: Run | None = None,
) -> bytes:
    """One window, ready to send.

    Args:
        span: r0, r1, c0, c1; ``None`` is the edge of the matrix.
        cell: (h, w) weights per cell, both powers of two; ``None``: single weights with all their values.
        other: a run to compare with, which the layer ``overlap`` needs.

    Raises:
        IncomparableRunsError: the other run has the matrix in another shape.
    """
    from kencore.views import window as views
    from kencore.views.compare import window as compare_view

    size = cell or (1, 1)
    if other is not None and layer == "overlap":
        view, shares = compare_view.window(run, other, name, **_edges(span), cell=size)
    else:
        view, shares = views.window(run, name, layer, **_edges(span), cell=size), {}
    if cell is None:
        planes = _exact_planes(run, name, view)
        if other is not None:
            rows, cols = slice(*view.rows), slice(*view.cols)
            planes["other"] = compare_view.kept_by_other(run, other, name, rows, cols)
    else:
        planes = {"count": view.count.astype(np.min_scalar_type(cell[0] * cell[1]).newbyteorder("<"))}
        if layer == "neighbours":  # of single weights too: none where nothing is kept
            planes["data"] = np.where(view.count > 0, view.data, np.nan).astype("<f4")
        elif layer != "kept":  # the count says it
            planes["data"] = view.data.astype("<f4")
        planes |= {share: plane.astype("<f4") for share, plane in shares.items()}
    return pack(
        {
            "matrix": name,
            "layer": view.layer,
            "rows": view.rows,
            "cols": view.cols,
            "cell": view.cell,
            "size": view.data.shape,
            "shape": run.shape(name),
        },
        planes,
    )


def _edges(span: dict[str, int | None]) -> dict[str, Any]:
    return {"r0": span["r0"] or 0, "r1": span["r1"], "c0": span["c0"] or 0, "c1": span["c1"]}


def _exact_planes(run: Run, name: str, view: Window) -> dict[str, NDArray[Any]]:
    """All that hover, colour and a change of layer need, for the same window."""
    from kencore.views import window as views

    edges = (*view.rows, *view.cols)
    found = {
        layer: view if layer == view.layer else views.window(run, name, layer, *edges)
        for layer in ("kept", "tuned", "base", "neighbours")
    }
    kinds = {"kept": "u1", "tuned": "<f4", "base": "<f4", "neighbours": "u1"}
    planes = {layer: found[layer].data.astype(kind) for layer, kind in kinds.items()}
    if run.kept_values is not None:
        rows, cols = slice(*view.rows), slice(*view.cols)
        planes["pruned"] = run.values(name, "pruned", rows, cols).astype("<f4")
        if run.spec.coded:
            planes["levels"] = run.values(name, "levels", rows, cols).astype("<f4")
    return planes


def pack(header: dict[str, Any], planes: dict[str, NDArray[Any]]) -> bytes:
    """Header and planes as one byte string."""
    listed, parts, offset = [], [], 0
    for name, plane in planes.items():
        raw = np.ascontiguousarray(plane).tobytes()
        listed.append({"name": name, "dtype": plane.dtype.str[1:], "offset": offset})
        padding = -len(raw) % ALIGN
        parts += [raw, b"\0" * padding]
        offset += len(raw) + padding
    text = json.dumps({**header, "planes": listed}, separators=(",", ":")).encode()
    text += b" " * (-(len(MAGIC) + 4 + len(text)) % ALIGN)
    return b"".join([MAGIC, struct.pack("<I", len(text)), text, *parts])


def window_csv(run: Run, name: str, span: dict[str, int | None], other: Run | None = None) -> str:
    """One line per weight of the window, in row order; without a base there is no difference.
    Beside another run ``kept_by_other`` comes last.
    """
    import pandas as pd

    from kencore.views import window as views

    rows, cols = run.shape(name)
    edges = _edges(span)
    edges["r1"] = rows if edges["r1"] is None else edges["r1"]
    edges["c1"] = cols if edges["c1"] is None else edges["c1"]
    paired = run.restore == "base"
    layers = ("base", "tuned", "difference") if paired else ("tuned",)
    planes = {layer: views.window(run, name, layer, **edges).data for layer in (*layers, "kept", "neighbours")}
    if not paired:
        rows_seen, cols_seen = slice(edges["r0"], edges["r1"]), slice(edges["c0"], edges["c1"])
        pruned = run.values(name, "pruned", rows_seen, cols_seen)
        planes = {"dense": planes.pop("tuned"), "pruned": pruned} | planes
    row, col = np.mgrid[edges["r0"] : edges["r1"], edges["c0"] : edges["c1"]]
    table = pd.DataFrame({"row": row.ravel(), "column": col.ravel()})
    for layer, plane in planes.items():
        table[layer] = plane.ravel()
    table["neighbours"] = table["neighbours"].where(table["kept"] == 1).astype("Int64")
    if other is not None:
        from kencore.views.compare.window import kept_by_other

        part = slice(edges["r0"], edges["r1"]), slice(edges["c0"], edges["c1"])
        table["kept_by_other"] = kept_by_other(run, other, name, *part).ravel()
    return str(table.to_csv(index=False, lineterminator="\n"))


def mask_npy(run: Run, name: str) -> tuple[int, Iterator[bytes]]:
    """Length and pieces of a .npy file (bool, R x C): no more than a few MB are held at once."""
    rows, cols = run.shape(name)
    run.mask_bits(name, slice(0, 1))  # a matrix without a mask is refused before the first byte
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|b1", "fortran_order": False, "shape": (rows, cols)})
    step = max(1, PIECE // cols)

    def pieces() -> Iterator[bytes]:
        yield head.getvalue()
        for first in range(0, rows, step):
            yield run.keep(name, slice(first, min(first + step, rows))).tobytes()

    return len(head.getvalue()) + rows * cols, pieces()
