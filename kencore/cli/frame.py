"""What every command of the command line shares: its progress bar, its result, its mistakes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from kencore.errors import KencoreError
from kencore.system.bar import progress_bar
from kencore.system.plain import terminal
from kencore.system.progress import Progress

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores by default.")]


@contextmanager
def command(
    as_json: bool, interrupted: str = "Interrupted."
) -> Iterator[tuple[Progress, Callable[[dict[str, Any], Callable[[dict[str, Any]], str]], None]]]:
    """Around a command: progress on standard error, the result on standard output, mistakes as one
    message and exit code 1 (130 when interrupted).

    Args:
        interrupted: what is said when it is.
    """

    def show(facts: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
        shown.append(json.dumps(facts, indent=2) if as_json else text(facts))

    shown: list[str] = []
    try:
        with progress_bar() as report:
            yield report, show
    except KencoreError as error:
        _fail({"error": error.to_json()}, str(error), as_json, 1)
    except KeyboardInterrupt:
        _fail({"error": {"type": "Interrupted", "message": "interrupted"}}, interrupted, as_json, 130)
    for text in shown:
        print(text if as_json else terminal(text))


def _fail(facts: dict[str, Any], text: str, as_json: bool, code: int) -> None:
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        print(terminal(text), file=sys.stderr)
    raise typer.Exit(code)
