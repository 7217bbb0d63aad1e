"""A report and its parts as files, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from kencore.errors import RunExistsError, StoreNotWritableError
from kencore.report.build import build
from kencore.report.charts.draw import png, svg
from kencore.report.content import Report
from kencore.report.page import html
from kencore.runs.run import open_run
from kencore.system.progress import Progress
from kencore.system.whole import check_free, check_new, whole_file, whole_folder


def report(
    run: str | Path,
    path: str | Path | None = None,
    *,
    beside: str | Path | None = None,
    figures: str | Path | None = None,
    interactive: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write the report of a run as one HTML file that opens without a network.

    Args:
        run: its id or folder.
        path: the file to write; by default ``RUN.report.html`` in the current folder.
        beside: a second run, its id or folder, that the run is compared with.
        figures: also a folder for every picture as PNG and SVG and every table as CSV.
        interactive: with a map of the model to zoom into, which a script in the file draws; without it the file has no
            script.
        force: write over what is there (a folder of pictures only if it holds nothing else).
        progress: called with (done, total, what is being done); may raise to cancel.

    Returns:
        ``run``, ``title``, ``file``, ``bytes``, and with ``figures`` ``folder`` and ``files`` (how
        many).

    Raises:
        RunNotFoundError, CorruptRunError: a run is not there, or broken.
        IncomparableRunsError: the two runs have no pruned matrix in common, or are one.
        RunExistsError: a file or a folder is there already.
        StoreNotWritableError: it cannot be written.
    """
    opened = open_run(run)
    other = None if beside is None else open_run(beside)
    path = Path(path) if path is not None else Path(file_name(opened.id))
    folder = None if figures is None else Path(figures)
    if not force:
        check_new(path)  # before minutes of counting
    elif path.is_dir():
        raise RunExistsError(str(path), got="a folder", wanted="a file", remedy="Choose another name.")
    if folder is not None:
        check_free(folder)
    made = build(opened, other, progress, interactive=interactive)
    text = html(made).encode()
    facts: dict[str, Any] = {"run": opened.id, "title": made.title, "file": str(path), "bytes": len(text)}
    try:
        with whole_file(path, force=force) as temporary:
            temporary.write_bytes(text)
            if folder is not None:  # so that neither is there where the other does not fit
                facts |= {"folder": str(folder), "files": write_figures(made, folder, progress)}
    except StoreNotWritableError:
        if folder is not None and "folder" in facts:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return facts


def file_name(run: str | Path) -> str:
    """A name for the report of a run (its id or folder)."""
    return f"{Path(run).name or 'run'}.report.html"


def write_figures(made: Report, folder: Path, progress: Progress | None = None) -> int:
    """Every picture as PNG and SVG with its numbers as CSV, every table as CSV: a whole folder.
    Returns the number of files.

    Raises:
        RunExistsError: the folder is there and not empty.
        StoreNotWritableError: it cannot be written.
    """
    pictures = made.figures
    with whole_folder(folder) as temporary:
        for done, figure in enumerate(pictures):
            if progress is not None:
                progress(done, len(pictures), f"Drawing {figure.name}")
            drawn = svg(figure.drawing, f"fig-{figure.name}", figure.finding, figure.alt, alone=True)
            (temporary / f"{figure.name}.svg").write_text(drawn, "utf-8")
            (temporary / f"{figure.name}.png").write_bytes(png(figure.drawing))
            (temporary / f"{figure.name}.csv").write_bytes(_csv(figure.data))
        for table in made.tables:
            (temporary / f"table-{table.name}.csv").write_bytes(_csv(table.frame()))
        return len(list(temporary.iterdir()))


def _csv(data: Any) -> bytes:
    found: bytes = data.to_csv(index=False, lineterminator="\n").encode()
    return found
