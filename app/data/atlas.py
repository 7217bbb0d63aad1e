"""Data of the map of a whole model: all its matrices in one small answer, and tiles of one of them.

``/kenviz/atlas?run=..`` is a `payload` whose header lists every parameter of the model in its
order: what it is called, where it stands, how much of it was kept; ``share`` (uint8, 255 = all
kept) holds the cells of the pruned ones, each from its ``offset`` on, row by row.

``/kenviz/tile?run=..&matrix=..&layer=..&h=..&w=..&i0=..&i1=..&j0=..&j1=..`` is a rectangle of tiles
of `kencore.views.tiles` at h x w weights per cell: ``count`` (kept weights, u1, u2 or u4) and, of
all layers but ``kept``, ``data`` (f4).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from app.data import payload
from app.data.request import cache_headers, strict, whole_number
from app.frame import matrices, state
from kencore.views import tables as summaries
from kencore.views import tiles
from kencore.words import numbers as wording

if TYPE_CHECKING:
    import pandas as pd

    from kencore.runs.run import Run

TILE = ("h", "w", "i0", "i1", "j0", "j1")
FIGURES = ("tuned_min", "tuned_max", "diff_rms")


def atlas(request: Request) -> Response:
    """Every matrix of a run in at most 32 x 32 cells."""
    asked = strict(request, "run", "v", need=1)
    run = state.open_cached(asked["run"])
    return _answer(request, run, asked, lambda: _remembered(run.id, state.stamp(run.path)))


def tile(request: Request) -> Response:
    """Some tiles of one layer of a matrix."""
    asked = strict(request, "run", "matrix", "layer", *TILE, "v", need=9)
    run = state.open_cached(asked["run"])
    h, w, i0, i1, j0, j1 = (whole_number(asked, key) or 0 for key in TILE)
    return _answer(
        request,
        run,
        asked,
        lambda: tile_bytes(run, asked["matrix"], asked["layer"], (h, w), slice(i0, i1), slice(j0, j1)),
    )


def _answer(request: Request, run: Run, asked: dict[str, str], make: Any) -> Response:
    headers = cache_headers(request, run, asked)
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    headers |= {"Content-Encoding": "identity"}
    return Response(make(), media_type="application/octet-stream", headers=headers)


@lru_cache(maxsize=8)
def _remembered(run_id: str, _stamp: str) -> bytes:
    return atlas_bytes(state.open_cached(run_id))


def tile_bytes(run: Run, name: str, layer: str, cell: tuple[int, int], down: slice, right: slice) -> bytes:
    """Tiles ready to send; see the module."""
    found = tiles.tiles(run, name, layer, cell, down, right)
    planes: dict[str, Any] = {"count": found.count.astype(found.count.dtype.newbyteorder("<"))}
    if found.data is not None:
        planes["data"] = found.data.astype("<f4")
    header = {
        "layer": layer,
        "rows": found.rows,
        "cols": found.cols,
        "cell": cell,
        "size": found.count.shape,
        "shape": run.shape(name),
    }
    return payload.pack(header, planes)


def atlas_bytes(run: Run) -> bytes:
    """The whole model ready to send; see the module."""
    pictures = tiles.atlas(run)
    listed, offset = {}, 0
    for picture in pictures:
        size = list(picture.share.shape)
        listed[picture.name] = {"cell": picture.cell, "size": size, "offset": offset}
        offset += picture.share.size
    several = matrices.stacks(run.matrices) > 1
    lines = [_line(line, several) | listed.get(str(line["name"]), {}) for _, line in run.matrices.iterrows()]
    shares = [picture.share.ravel() for picture in pictures]
    plane = np.concatenate(shares) if shares else np.zeros(0, np.uint8)
    header = {
        "run": run.id,
        "restore": run.restore,
        "roles": summaries.ROLES,
        "size": (1, plane.size),
        "matrices": lines,
    }
    return payload.pack(header, {"share": plane[None]})


def _line(line: pd.Series[Any], several: bool) -> dict[str, Any]:
    """One parameter as the map names and draws it."""
    inside = not math.isnan(line["block"])
    pruned = line["status"] == "pruned"
    role = str(line["role"])
    return {
        "name": str(line["name"]),
        "group": matrices.group(line, several),
        "block": int(line["block"]) if inside else None,
        "stack": str(line["stack"]) if inside else "",
        "role": role,
        "role_label": wording.ROLES.get(role, role),
        "label": matrices.label(line),
        "rows": int(line["rows"]),
        "cols": int(line["cols"]),
        "kept": int(line["kept"]) if pruned else int(line["params"]),
        "reason": None if pruned else str(line["reason"]),
        **({name: _finite(line[name]) for name in FIGURES} if pruned else {}),
    }


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
