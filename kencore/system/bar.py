"""A progress bar on a terminal or in a notebook; nothing where neither is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kencore.system.plain import terminal
from kencore.system.progress import Progress


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on standard error, or below a notebook's cell, that is gone when the work is done."""
    from rich import progress as rich_bar
    from rich.console import Console

    columns = (
        rich_bar.TextColumn("{task.description}", markup=False),
        rich_bar.BarColumn(),
        rich_bar.TaskProgressColumn(),
        rich_bar.TimeElapsedColumn(),
        rich_bar.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    hidden = not (console.is_terminal or console.is_jupyter)  # where nothing can be drawn, rich leaves an empty line
    with rich_bar.Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=None)

        def report(done: float, total: float, message: str) -> None:
            bar.update(task, completed=done, total=total, description=terminal(message))

        yield report
