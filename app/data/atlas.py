"""The map of a whole model: all its matrices in one small answer.

``/kenviz/atlas?run=..`` is a `payload` whose header lists every parameter of the model in its
order: what it is called, where it stands, how much of it was kept and lost; ``share`` (uint8, 255 = all
kept) holds the cells of the pruned ones, each from its ``offset`` on, row by row. From closer the
map asks for windows, as the map of one matrix does.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from app.data import payload
from app.data.request import cache_headers, strict
from app.frame import state
from kencore.checkpoint.stacks import expert_of
from kencore.views import tables as summaries
from kencore.views import tiles
from kencore.words import matrices
from kencore.words import numbers as wording

if TYPE_CHECKING:
    import pandas as pd

    from kencore.runs.run import Run

FIGURES = ("tuned_min", "tuned_max", "diff_rms")


def atlas(request: Request) -> Response:
    """Every matrix of a run in at most 32 x 32 cells."""
    asked = strict(request, "run", "v", need=1)
    run = state.open_cached(asked["run"])
    headers = cache_headers(request, run, asked)
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    headers |= {"Content-Encoding": "identity"}
    body = _remembered(run.id, state.stamp(run.path))
    return Response(body, media_type="application/octet-stream", headers=headers)


@lru_cache(maxsize=8)
def _remembered(run_id: str, _stamp: str) -> bytes:
    return atlas_bytes(state.open_cached(run_id))


def atlas_bytes(run: Run, finest: int | None = None) -> bytes:
    """The whole model ready to send; see the module.

    Args:
        finest: the map is to ask for nothing finer than cells of so many x so many weights, and for no values.
    """
    pictures = tiles.atlas(run)
    listed, offset = {}, 0
    for picture in pictures:
        size = list(picture.share.shape)
        listed[picture.name] = {"cell": picture.cell, "size": size, "offset": offset}
        if run.thin:  # it has no finer ones
            listed[picture.name]["finest"] = dict(zip("hw", picture.cell, strict=True))
        offset += picture.share.size
    several = matrices.stacks(run.matrices) > 1
    least = {} if finest is None else {"finest": {"h": finest, "w": finest}}
    lines = [_line(line, several) | listed.get(str(line["name"]), {}) | least for _, line in run.matrices.iterrows()]
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
        "role_word": wording.ROLE_WORDS.get(role, ""),
        "label": matrices.label(line),
        "expert": expert_of(str(line["name"])),
        "rows": int(line["rows"]),
        "cols": int(line["cols"]),
        "kept": int(line["kept"]) if pruned else int(line["params"]),
        "reason": None if pruned else str(line["reason"]),
        "lost": _finite(line["diff_lost"]) if pruned else None,
        **({name: _finite(line[name]) for name in FIGURES} if pruned else {}),
    }


def _finite(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None
