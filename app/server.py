"""The web process: Streamlit's pages and the weight viewer's data on one port.

Start it with the command ``kenviz`` or with ``streamlit run app/server.py``.
"""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # started from a checkout that was not installed
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from app.data.routes import routes  # noqa: E402
from app.guard import metrics, mode, offline  # noqa: E402
from app.guard import settings as server_settings  # noqa: E402
from app.guard.middleware import Guard  # noqa: E402
from kencore.errors import KencoreError  # noqa: E402

LOG = logging.getLogger("kenviz")
FIRST_SEEN = (
    "app.shell",
    "app.app_pages.overview.tables",
    "app.parts.matrix",
    "app.data.answers",
    "app.charts.model",
    "app.charts.quality",
    "app.frame.draw",
    "pyarrow.compute",
)


def warm() -> None:
    """Import what the pages need and open the first run, while the browser loads the frontend.

    Afterwards one collection and a freeze: Streamlit collects garbage after every run of a page,
    which would look at all imported modules each time.
    """
    from app.frame import state
    from kencore.errors import KencoreError

    gc.disable()  # until all is imported: looking for garbage among modules finds none
    try:
        listed = [run for run in state.runs() if run.problem is None]
        if listed:
            state.open_cached(listed[0].id)
        for name in FIRST_SEEN:
            import_module(name)
        import plotly.graph_objects as go

        go.Figure(go.Heatmap(z=[[0.0]])).to_json()  # the first figure loads most of Plotly
    except KencoreError as error:  # the pages say it too, where a person sees it
        LOG.warning("%s", error)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def say(error: Exception) -> bool:
    """Whatever a page did not expect: a message on the page, the traceback in the log."""
    from app.frame import state
    from kencore.errors import KencoreError

    if isinstance(error, KencoreError):
        state.show_error(error)
        return True
    LOG.error("A page failed", exc_info=error)
    st.error(
        f"**This page failed**: {type(error).__name__}: {state.plain(str(error))}\n\nThe server's log has the "
        "details. Go back, or open another page from the menu.",
        icon=":material/error:",
    )
    return True


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
    """Warm up in a thread: the server answers at once."""
    offline.close(*(SETTINGS.login.hosts if SETTINGS is not None else ()))
    threading.Thread(target=warm, name="warm", daemon=True).start()
    yield {}


def guard(base: str) -> dict[str, Any]:
    """The rules by which requests come in. Ends the program with a message where it must not listen."""
    try:
        mode.check_address(st.get_option("server.address"))
        found = server_settings.load()
        audit = None if found is None else mode.serve(found)
        return {"door": mode.door(base, found), "settings": found, "audit": audit, "meter": metrics.Meter()}
    except KencoreError as error:
        sys.exit(str(error))


BASE = "/" + str(st.get_option("server.baseUrlPath") or "").strip("/")
GUARD = guard(BASE)
SETTINGS: server_settings.ServerSettings | None = GUARD["settings"]
app = st.App(  # written out: `streamlit run` looks for these very words
    ROOT / "app" / "streamlit_app.py",
    lifespan=lifespan,
    on_script_error=say,
    routes=[*metrics.routes(BASE, GUARD["meter"]), *routes(BASE)],
    middleware=[Middleware(Guard, **GUARD)],
)
