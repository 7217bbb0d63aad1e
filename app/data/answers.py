"""The weight viewer's data: windows of a matrix, single weights and downloads, over HTTP.

Every address starts with ``/kenviz/``. Answers that carry ``v=<identity of the run's files>`` are
kept by the browser for ever; others are checked again by their ETag. Functions here are plain
(not async): Starlette runs them in its thread pool, so a large matrix never blocks the pages.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from app import viewer
from app.data import atlas, exports, payload
from app.data import live as tune_live
from app.data.request import CHECK, FOREVER, cache_headers, download, strict, whole_number
from app.frame import state
from kencore.errors import (
    CorruptRunError,
    GettingReady,
    JobNotFoundError,
    KencoreError,
    MatrixNotFoundError,
    RunNotFoundError,
    SourceNotFoundError,
    SpecError,
)
from kencore.system import people

if TYPE_CHECKING:
    from kencore.runs.run import Run

LOG: Final = logging.getLogger("kenviz")
MOST_CELLS: Final = 1 << 21  # of one window
MOST_CSV: Final = 1 << 18  # weights in one CSV
NOT_FOUND: Final = (RunNotFoundError, MatrixNotFoundError, SourceNotFoundError, JobNotFoundError)
WINDOW: Final = ("r0", "r1", "c0", "c1")
CELL: Final = ("h", "w")


def answer(name: str, request: Request) -> Response:
    """What the endpoint ``name`` answers; a person's mistake is JSON with its message."""
    endpoints = {
        "window": window,
        "cell": cell,
        "window_csv": window_csv,
        "mask_npy": mask_npy,
        "export": export,
        "script": script,
        "atlas": atlas.atlas,
        "setting": setting,
    }
    try:
        return endpoints[name](request)
    except KencoreError as error:
        status, said = refusal(error)
        again = {"Retry-After": "1"} if status == 503 else {}
        return JSONResponse(said, status, {"Cache-Control": "no-store"} | again)
    except Exception as error:
        LOG.error("%s cannot be answered", name, exc_info=error)
        return JSONResponse(_unreadable(error).to_json(), 409, {"Cache-Control": "no-store"})


def refusal(error: KencoreError) -> tuple[int, dict[str, Any]]:
    """A mistake as a status and what is said of it; 503 is asked again by the viewer."""
    if isinstance(error, GettingReady):
        return 503, {"message": f"Getting ready: {error.got}"}
    if isinstance(error, SpecError):
        return 400, error.to_json()
    return 404 if isinstance(error, NOT_FOUND) else 409, error.to_json()


def _unreadable(error: Exception) -> CorruptRunError:
    """What is said where files that looked whole turn out not to be."""
    return CorruptRunError(
        "what was asked for",
        got=f"files that cannot be read ({type(error).__name__}: {str(error)[:200]})",
        wanted="a whole run folder",
        remedy="The server's log has the details. Delete the run if it is damaged.",
    )


def window(request: Request) -> Response:
    """One window of a layer in cells of h x w weights as raw planes, and without h and w all that is known of
    its single weights, see `app.data.payload`; ``other`` is a run beside it, and ``live`` or ``made`` is another
    setting of this one, see `app.data.live`.
    """
    asked = strict(request, "run", "matrix", "layer", *WINDOW, *CELL, "v", "other", *tune_live.PARAMS, need=2)
    run = state.open_cached(asked["run"])
    headers = cache_headers(request, run, asked)
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    span, cells = _span(run, asked, "window", MOST_CELLS)
    body = payload.window_bytes(
        tune_live.seen(run, asked, request),
        asked["matrix"],
        asked.get("layer", "kept"),
        span,
        cells,
        state.open_cached(asked["other"]) if "other" in asked else None,
    )
    # raw floats hardly shrink: saying "identity" keeps the gzip middleware from trying
    headers |= {"Content-Encoding": "identity"}
    return Response(body, media_type="application/octet-stream", headers=headers)


def cell(request: Request) -> Response:
    """All that is known of one weight."""
    from kencore.views import window as views

    asked = strict(request, "run", "matrix", "row", "col", "v", "other", *tune_live.PARAMS, need=4)
    run = state.open_cached(asked["run"])
    row, col = whole_number(asked, "row"), whole_number(asked, "col")
    assert row is not None
    assert col is not None
    headers = cache_headers(request, run, asked)
    found = tune_live.seen(run, asked, request)
    return JSONResponse(views.cell(found, asked["matrix"], row, col), headers=headers)


def window_csv(request: Request) -> Response:
    """The weights of a window as text: row, column, base, tuned, difference, kept, neighbours."""
    asked = strict(request, "run", "matrix", *WINDOW, "v", "other", *tune_live.PARAMS, need=2)
    run = state.open_cached(asked["run"])
    name = asked["matrix"]
    span, _ = _span(run, asked, "CSV", MOST_CSV)
    people.tell("download", what="csv", run=run.id, matrix=name)
    other = state.open_cached(asked["other"]) if "other" in asked else None
    text = payload.window_csv(tune_live.seen(run, asked, request), name, span, other)
    return Response(text, media_type="text/csv", headers=download(f"{name}.window.csv"))


def _span(
    run: Run, asked: dict[str, str], what: str, most: int
) -> tuple[dict[str, int | None], tuple[int, int] | None]:
    """The window that a request asks for, of at most ``most`` cells, and their size (None: it says nothing).

    Raises:
        SpecError: more of them.
    """
    span = {key: whole_number(asked, key) for key in WINDOW}
    h, w = (whole_number(asked, key, 1) or 1 for key in CELL)
    check_area(run.shape(asked["matrix"]), span, (h, w), what, most)
    return span, (h, w) if "h" in asked or "w" in asked else None


def check_area(
    shape: tuple[int, int], span: dict[str, int | None], cell: tuple[int, int], what: str, most: int
) -> None:
    """Raise `SpecError` where a window of a matrix has more than ``most`` cells."""
    (rows, cols), (h, w) = shape, cell
    area = ((span["r1"] or rows) - (span["r0"] or 0)) * ((span["c1"] or cols) - (span["c0"] or 0))
    if area > most * h * w:
        raise SpecError(
            what,
            got=f"a window of {area:,} weights in cells of {h * w:,}",
            wanted=f"at most {most:,} cells",
            remedy="Zoom in, or download the mask as .npy.",
        )


def mask_npy(request: Request) -> Response:
    """The whole keep mask as a NumPy file of bool, rows being outputs, sent in pieces."""
    asked = strict(request, "run", "matrix", "v", *tune_live.PARAMS, need=2)
    run = tune_live.seen(state.open_cached(asked["run"]), asked, request)
    name = asked["matrix"]
    people.tell("download", what="mask", run=run.id, matrix=name)
    length, pieces = payload.mask_npy(run, name)
    headers = download(f"{name}.mask.npy") | {"Content-Length": str(length)}
    headers |= {"Content-Encoding": "identity"}
    body: Iterator[bytes] = pieces
    return StreamingResponse(body, media_type="application/octet-stream", headers=headers)


def setting(request: Request) -> Response:
    """The totals of a setting of a run, from counts alone: kept entries, bytes, shares. With
    ``warm=1`` the matrix is also made ready for the moves that follow.
    """
    from kencore.live.setting import Setting

    asked = strict(request, "run", "live", "matrix", "warm", need=2)
    run, matrix = state.open_cached(asked["run"]), asked.get("matrix", "")
    wanted = Setting.from_text(asked["live"])
    found = tune_live.comes_to(run, wanted, matrix)
    if "warm" in asked and matrix:
        tune_live.warm(run, matrix, wanted)
    return JSONResponse(found, headers={"Cache-Control": CHECK})


def export(request: Request) -> Response:
    """The file that an export job wrote, sent in pieces; parts of it may be asked for."""
    job = strict(request, "job", need=1)["job"]
    _, path = exports.made(job)
    if not path.is_file():
        raise RunNotFoundError(
            f"Export of job {job}",
            got="a folder" if path.is_dir() else "its file is gone",
            wanted="a file",
            remedy="Copy the folder, or prepare the file again.",
        )
    people.tell("download", what="export", job=job)
    headers = download(path.name) | {"Content-Encoding": "identity"}
    return FileResponse(path, headers=headers, media_type="application/octet-stream")


def script(request: Request) -> Response:
    """One of the viewer's own files; the version is in the address, so it is kept for ever."""
    text = viewer.SCRIPTS.get(request.path_params["name"])
    if text is None:
        return JSONResponse({"message": "no such file of the viewer"}, 404)
    kept = FOREVER if request.path_params["version"] == viewer.VERSION else CHECK
    return Response(text, media_type="text/javascript", headers={"Cache-Control": kept})
