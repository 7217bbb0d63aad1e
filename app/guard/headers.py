"""Headers of every answer: what a browser may load, frame, guess and tell others."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Final

import streamlit

POLICY: Final = {
    "default-src": "'self'",
    "script-src": "'self' blob:",  # components are modules made from text
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "media-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "frame-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
}


def security_headers(frames: tuple[str, ...] = ()) -> dict[str, str]:
    """The headers; ``frames`` are the sites whose pages may frame the app."""
    ancestors = " ".join(frames) if frames else "'none'"
    policy = POLICY | {"script-src": " ".join([POLICY["script-src"], *_inline()]), "frame-ancestors": ancestors}
    found = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        # not no-referrer: browsers then hide the origin of their own requests, too
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    return found if frames else found | {"X-Frame-Options": "DENY"}


def _inline() -> list[str]:
    """Hashes of the scripts that stand in Streamlit's page itself."""
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text("utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return [f"'sha256-{digest}'" for digest in digests]
