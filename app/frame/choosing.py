"""A choice of view that lives in the address."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from app.frame import links


def view(
    param: str,
    options: Mapping[str, str],
    default: str,
    *,
    label: str,
    along: Mapping[str, Mapping[str, str | None]] | None = None,
) -> str:
    """A segmented control over ``options`` (value to label) that reads and writes ``param``.

    The default is left out of the address. ``along``: what else an option puts into the address,
    or (``None``) takes out of it, so that "back" takes one step.

    Raises:
        LinkError: the address asks for something else; nothing is drawn then.
    """
    key = f"choose_{param}"
    st.session_state[key] = links.choice(param, tuple(options), default)

    def chosen() -> None:
        value = st.session_state[key]
        beside = (along or {}).get(value, {})
        links.write(**{**beside, param: None if value == default else value})

    picked = st.segmented_control(
        label,
        list(options),
        key=key,
        format_func=lambda name: options[name],
        on_change=chosen,
        required=True,
        label_visibility="collapsed",
        width="content",
    )
    return picked or default
