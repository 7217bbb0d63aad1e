"""The command ``warm``: compile ahead of the first use."""

from __future__ import annotations

from typing import Any

from kencore.cli.frame import Json, command


def warm(as_json: Json = False) -> None:
    """Compile the selection rules for this machine now, so that the first prune or slider move does not wait.

    Needed once after an installation; `make app`, `make install` and the Docker image have done it.
    """
    from kencore.methods.warm import warm as compile_all

    with command(as_json) as (report, show):
        report(0, 1, "Compiling, about 15 seconds")
        show(compile_all(), warmed)


def warmed(facts: dict[str, Any]) -> str:
    """What `kencore.methods.warm.warm` did, in a line."""
    took = f"{facts['seconds']:.1f} s"
    if not facts["compiled"]:
        return f"All {facts['kernels']} kernels were compiled already ({took}), in {facts['folder']}."
    made = f"Compiled {facts['compiled']} of {facts['kernels']} kernels in {took}"
    if facts["folder"] is None:
        return f"{made}. No folder can be written to keep them: name one in NUMBA_CACHE_DIR."
    return f"{made}, kept in {facts['folder']}."
