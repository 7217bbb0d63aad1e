"""The weight viewer's data: windows of a matrix, single weights and downloads, over HTTP.

Every address starts with ``/kenviz/``. Answers that carry ``v=<identity of the run's files>`` are
kept by the browser for ever; others are checked again by their ETag. Functions here are plain
(not async): Starlette runs them in its thread pool, so a large matrix never blocks the pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from app import viewer
from app.data import atlas, exports, payload
from app.data import live as tune_live
from app.frame import state
from kencore.errors import (
    GettingReady,
    JobNotFoundError,
    KencoreError,
    MatrixNotFoundError,
    RunNotFoundError,
    SourceNotFoundError,
    SpecError,
)

if TYPE_CHECKING:
    from kencore.runs.run import Run

MOST_CELLS: Final = 1024  # per side of a window
MOST_CSV: Final = 1 << 18  # weights in one CSV
FOREVER: Final = "private, max-age=31536000, immutable"
CHECK: Final = "private, no-cache"
NOT_FOUND: Final = (RunNotFoundError, MatrixNotFoundError, SourceNotFoundError, JobNotFoundError)
WINDOW: Final = ("r0", "r1", "c0", "c1")


def answer(name: str, request: Request) -> Response:
    """What the endpoint ``name`` answers; a person's mistake is JSON with its message."""
    endpoints = {
        "window": window, "cell": cell, "window_csv": window_csv, "mask_npy": mask_npy,
        "export": export, "script": script, "atlas": atlas.atlas, "tile": atlas.tile,
        "setting": setting,
    }  # fmt: skip
    try:
        return endpoints[name](request)
    except GettingReady as error:  # the browser asks again by itself
        said = {"message": f"Getting ready: {error.got}"}
        return JSONResponse(said, 503, {"Cache-Control": "no-store", "Retry-After": "1"})
    except KencoreError as error:
        status = 404 if isinstance(error, NOT_FOUND) else 409
        status = 400 if isinstance(error, SpecError) else status
        return JSONResponse(error.to_json(), status, {"Cache-Control": "no-store"})


def window(request: Request) -> Response:
    """One window of a layer as raw planes, see `app.data.payload`; ``other`` is a run beside it, and
    ``live`` or ``made`` is another setting of this one, see `app.data.live`."""
    asked = _strict(
        request, "run", "matrix", "layer", *WINDOW, "max_rows", "max_cols", "v", "other",
        *tune_live.PARAMS, need=2,
    )  # fmt: skip
    run = state.open_cached(asked["run"])
    headers = _cache_headers(request, run, asked)
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    body = payload.window_bytes(
        tune_live.seen(run, asked, request),
        asked["matrix"],
        asked.get("layer", "kept"),
        {name: _whole_number(asked, name) for name in WINDOW},
        max_rows=_whole_number(asked, "max_rows", 1, MOST_CELLS) or 256,
        max_cols=_whole_number(asked, "max_cols", 1, MOST_CELLS) or 512,
        other=state.open_cached(asked["other"]) if "other" in asked else None,
    )
    # raw floats hardly shrink: saying "identity" keeps the gzip middleware from trying
    headers |= {"Content-Encoding": "identity"}
    return Response(body, media_type="application/octet-stream", headers=headers)


def cell(request: Request) -> Response:
    """All that is known of one weight."""
    from kencore.views import window as views

    asked = _strict(request, "run", "matrix", "row", "col", "v", "other", *tune_live.PARAMS, need=4)
    run = state.open_cached(asked["run"])
    row, col = _whole_number(asked, "row"), _whole_number(asked, "col")
    assert row is not None
    assert col is not None
    headers = _cache_headers(request, run, asked)
    found = tune_live.seen(run, asked, request)
    return JSONResponse(views.cell(found, asked["matrix"], row, col), headers=headers)


def window_csv(request: Request) -> Response:
    """The weights of a window as text: row, column, base, tuned, difference, kept, neighbours."""
    asked = _strict(request, "run", "matrix", *WINDOW, "v", "other", *tune_live.PARAMS, need=2)
    run = state.open_cached(asked["run"])
    name = asked["matrix"]
    rows, cols = run.shape(name)
    span = {key: _whole_number(asked, key) for key in WINDOW}
    area = ((span["r1"] or rows) - (span["r0"] or 0)) * ((span["c1"] or cols) - (span["c0"] or 0))
    if area > MOST_CSV:
        raise SpecError(
            "CSV", got=f"a window of {area:,} weights", wanted=f"at most {MOST_CSV:,}",
            remedy="Zoom in, or download the mask as .npy.",
        )  # fmt: skip
    other = state.open_cached(asked["other"]) if "other" in asked else None
    text = payload.window_csv(tune_live.seen(run, asked, request), name, span, other)
    return Response(text, media_type="text/csv", headers=_download(f"{name}.window.csv"))


def mask_npy(request: Request) -> Response:
    """The whole keep mask as a NumPy file of bool, rows being outputs, sent in pieces."""
    asked = _strict(request, "run", "matrix", "v", *tune_live.PARAMS, need=2)
    run = tune_live.seen(state.open_cached(asked["run"]), asked, request)
    name = asked["matrix"]
    length, pieces = payload.mask_npy(run, name)
    headers = _download(f"{name}.mask.npy") | {"Content-Length": str(length)}
    headers |= {"Content-Encoding": "identity"}
    body: Iterator[bytes] = pieces
    return StreamingResponse(body, media_type="application/octet-stream", headers=headers)


def setting(request: Request) -> Response:
    """What a setting of a run comes to, from counts alone: kept entries, bytes, shares. With
    ``warm=1`` the matrix is also made ready for the moves that follow."""
    from kencore.live.setting import Setting

    asked = _strict(request, "run", "live", "matrix", "warm", need=2)
    run, matrix = state.open_cached(asked["run"]), asked.get("matrix", "")
    wanted = Setting.from_text(asked["live"])
    found = tune_live.comes_to(run, wanted, matrix)
    if "warm" in asked and matrix:
        tune_live.warm(run, matrix, wanted)
    return JSONResponse(found, headers={"Cache-Control": CHECK})


def export(request: Request) -> Response:
    """The file that an export job wrote, sent in pieces; parts of it may be asked for."""
    job = _strict(request, "job", need=1)["job"]
    _, path = exports.made(job)
    if not path.is_file():
        raise RunNotFoundError(
            f"Export of job {job}", got="a folder" if path.is_dir() else "its file is gone",
            wanted="a file", remedy="Copy the folder, or prepare the file again.",
        )  # fmt: skip
    headers = _download(path.name) | {"Content-Encoding": "identity"}
    return FileResponse(path, headers=headers, media_type="application/octet-stream")


def script(request: Request) -> Response:
    """One of the viewer's own files; the version is in the address, so it is kept for ever."""
    text = viewer.SCRIPTS.get(request.path_params["name"])
    if text is None:
        return JSONResponse({"message": "no such file of the viewer"}, 404)
    kept = FOREVER if request.path_params["version"] == viewer.VERSION else CHECK
    return Response(text, media_type="text/javascript", headers={"Cache-Control": kept})


def _strict(request: Request, *names: str, need: int) -> dict[str, str]:
    """The query, each name once, none unknown, the first ``need`` present.

    Raises:
        SpecError: anything else.
    """
    pairs = request.query_params.multi_items()
    asked = dict(pairs)
    unknown = [name for name in asked if name not in names]
    missing = [name for name in names[:need] if not asked.get(name)]
    if unknown or missing or len(asked) != len(pairs):
        raise SpecError(
            request.url.path,
            got=f"unknown {', '.join(unknown)}" if unknown
            else f"no {', '.join(missing)}" if missing else "a parameter twice",
            wanted=f"{', '.join(names[:need])}, and at most {', '.join(names[need:])}",
            remedy="Correct the address.",
        )  # fmt: skip
    return asked


def _whole_number(asked: dict[str, str], name: str, low: int = 0, high: int = 10**9) -> int | None:
    """A whole number of the query, ``None`` where it is not given."""
    text = asked.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 11 and low <= int(text) <= high):
        raise SpecError(
            name, got=repr(text), wanted=f"a whole number from {low} to {high}",
            remedy="Correct the address.",
        )  # fmt: skip
    return int(text)


def _cache_headers(request: Request, run: Run, asked: dict[str, str]) -> dict[str, str]:
    """Identity of the run's files decides what may be kept."""
    stamp = _stamp(run, asked.get("other"))
    digest = sha256(f"{stamp}|{viewer.VERSION}|{request.url.query}".encode()).hexdigest()
    fresh = asked.get("v") == stamp
    return {"ETag": f'"{digest[:24]}"', "Cache-Control": FOREVER if fresh else CHECK}


def _stamp(run: Run, other: str | None) -> str:
    """Identity of the files of a run, and of those of the run beside it."""
    own = state.stamp(run.path)
    return own if other is None else f"{own}+{state.stamp(state.open_cached(other).path)}"


def _download(name: str) -> dict[str, str]:
    safe = "".join(char if char.isalnum() or char in "._-" else "_" for char in name)
    return {"Content-Disposition": f'attachment; filename="{safe}"', "Cache-Control": CHECK}
