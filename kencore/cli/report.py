"""The command that writes the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kencore.cli.frame import Json, command


def report(
    run: Annotated[str, typer.Argument(help="A run: its id or folder.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write; RUN.report.html in this folder by default.")
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Also a new folder: every picture as PNG and SVG, every table as CSV.")
    ] = None,
    compare: Annotated[str | None, typer.Option(help="A second run, its id or folder, to compare it with.")] = None,
    interactive: Annotated[
        bool, typer.Option(help="With a map to zoom into, drawn by a script in the file; or without any script.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Write over a report there is.")] = False,
    as_json: Json = False,
) -> None:
    """Write the report of a run: one HTML file that opens without a network."""
    from kencore.report import report as write

    with command(as_json) as (progress, show):
        facts = write(
            run, out, beside=compare, figures=figures, interactive=interactive, force=force, progress=progress
        )
        show(facts, written)


def written(facts: dict[str, Any]) -> str:
    """What `report` wrote."""
    text = f"{facts['title']}\nWrote {facts['file']} ({facts['bytes']:,} bytes)"
    if "folder" in facts:
        text += f"\nWrote {facts['files']:,} files of pictures and tables to {facts['folder']}"
    return text
