"""What every command of the command line shares: its progress bar, its result, its mistakes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich import progress as rich_bar
from rich.console import Console

from kencore.errors import KencoreError
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
        with _bar() as report:
            yield report, show
    except KencoreError as error:
        _fail({"error": error.to_json()}, str(error), as_json, 1)
    except KeyboardInterrupt:
        _fail({"error": {"type": "Interrupted", "message": "interrupted"}}, interrupted, as_json, 130)
    for text in shown:
        print(text)


def _fail(facts: dict[str, Any], text: str, as_json: bool, code: int) -> None:
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        print(text, file=sys.stderr)
    raise typer.Exit(code)


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (
        rich_bar.TextColumn("{task.description}"),
        rich_bar.BarColumn(),
        rich_bar.TaskProgressColumn(),
        rich_bar.TimeElapsedColumn(),
        rich_bar.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    hidden = not console.is_terminal  # where nothing can be drawn, rich leaves an empty line
    with rich_bar.Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)

        def report(done: float, total: float, message: str) -> None:
            bar.update(task, completed=done, total=total, description=message)

        yield report
