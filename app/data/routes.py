"""Addresses of the weight viewer's data. Nothing heavy is imported until one of them is asked for.

The server starts with this file: what answers (`app.data.answers`) needs numpy and pandas, which load
while the browser is busy with the frontend.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ENDPOINTS = {
    "window": "window",
    "cell": "cell",
    "atlas": "atlas",
    "window.csv": "window_csv",
    "mask.npy": "mask_npy",
    "setting": "setting",
    "export": "export",
    "viewer/{version}/{name}": "script",
}


def routes(base: str = "") -> list[Route]:
    """All routes, below ``base`` (Streamlit's ``server.baseUrlPath``)."""
    root = f"/{base.strip('/')}" if base.strip("/") else ""
    return [
        Route(f"{root}/kenviz/{path}", _endpoint(name), methods=["GET"], name=name) for path, name in ENDPOINTS.items()
    ]


def _endpoint(name: str) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        from app.data import answers as api

        return api.answer(name, request)

    return answer
