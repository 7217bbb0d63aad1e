"""The web process: Streamlit's pages and the weight viewer's data on one port.

Start it with ``streamlit run app/server.py``.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # run from a checkout that was not installed
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

app = st.App(ROOT / "app" / "streamlit_app.py")
