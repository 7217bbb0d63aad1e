"""The command ``runs``: the table of what is in the store, and what a person calls a run of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kencore.cli.frame import Json, command
from kencore.errors import SpecError

if TYPE_CHECKING:
    from kencore.words.run_list import RunLine

LEVELS: Final[tuple[str | None, ...]] = ("safe", "unclear", "damaged", "ruined", None)
SORTS: Final[dict[str, Callable[[RunLine], Any]]] = {
    "date": lambda line: line.found.created,
    "name": lambda line: line.found.label.casefold(),
    "method": lambda line: line.rule,
    "kept": lambda line: -1.0 if line.kept is None else line.kept,
    "quality": lambda line: (
        line.judged.measure or "~",
        -math.inf if line.judged.pruned is None else line.judged.pruned,
    ),
    "verdict": lambda line: LEVELS.index(line.judged.level),
}
COLUMNS: Final = ("id", "run", "verdict", "method", "kept", "quality", "made", "tags")


def runs(
    run: Annotated[
        str | None, typer.Argument(help="The run to rename, tag or delete; without one all are listed.")
    ] = None,
    rename: Annotated[
        str | None, typer.Option(help="Give the run a name; an empty one calls it by its settings again.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Add a tag; may be given more than once.")] = None,
    untag: Annotated[list[str] | None, typer.Option(help="Remove a tag.")] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the run for good.")] = False,
    sort: Annotated[str, typer.Option(help=f"Order of the list: {', '.join(SORTS)}.")] = "date",
    tagged: Annotated[str | None, typer.Option(help="List only runs with this tag.")] = None,
    as_json: Json = False,
) -> None:
    """List the runs of the store with verdict, method, share, quality and date; rename, tag or delete one."""
    with command(as_json) as (_, show):
        changes = rename is not None or bool(tag or untag)
        _check(run, changes, delete, sort)
        if run is None:
            show({"runs": [facts(line) for line in _listed(sort, tagged)]}, table)
        elif delete:
            from kencore.runs.shelf import delete_run

            delete_run(run)
            show({"deleted": run}, lambda _: f"Deleted {run}.")
        else:
            from kencore.runs.shelf import relabel_run

            label = relabel_run(run, name=rename, add=tag or (), remove=untag or ())
            show({"run": run, "name": label.name, "tags": list(label.tags)}, labeled)


def _check(run: str | None, changes: bool, delete: bool, sort: str) -> None:
    if sort not in SORTS:
        raise SpecError("sort", got=repr(sort), wanted=f"one of {', '.join(SORTS)}", remedy="Choose one of these.")
    if run is None and (changes or delete):
        raise SpecError("run", got="none", wanted="the run to change", remedy="Name it: `runs RUN --rename NAME`.")
    if run is not None and not (changes or delete):
        raise SpecError(
            "runs",
            got=f"a run ({run}) and nothing to do with it",
            wanted="--rename, --tag, --untag or --delete",
            remedy="Leave the run out to list all of them.",
        )
    if changes and delete:
        raise SpecError("delete", got="another change, too", wanted="it alone", remedy="Leave the other out.")


def _listed(sort: str, tagged: str | None) -> list[RunLine]:
    from kencore.runs.shelf import list_runs
    from kencore.words.run_list import lines

    found = [line for line in lines(list_runs()) if tagged is None or tagged in line.found.tags]
    return found if sort == "date" else sorted(found, key=SORTS[sort])


def facts(line: RunLine) -> dict[str, Any]:
    """One run of the list for ``--json``."""
    run, judged = line.found, line.judged
    return {
        "id": run.id,
        "label": run.label,
        "created": run.created,
        "problem": run.problem,
        "folder": str(run.path),
        "name": run.name,
        "tags": list(run.tags),
        "method": line.rule,
        "keep": line.kept,
        "measure": judged.measure,
        "dense": judged.dense,
        "pruned": judged.pruned,
        "verdict": judged.level,
    }


def table(found: dict[str, Any]) -> str:
    """The list as aligned columns; nothing is cut."""
    if not found["runs"]:
        return "No runs."
    rows = [COLUMNS, *(_cells(run) for run in found["runs"])]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cells(run: dict[str, Any]) -> tuple[str, ...]:
    from kencore.words import numbers as wording

    label = run["label"] + (f" [broken: {run['problem']}]" if run["problem"] else "")
    kept = "" if run["keep"] is None else wording.short_percent(run["keep"])
    made = run["created"][:16].replace("T", " ")
    return (run["id"], label, run["verdict"] or "", run["method"], kept, _quality(run), made, ", ".join(run["tags"]))


def _quality(run: dict[str, Any]) -> str:
    """``accuracy 76.8 → 78.0 %``."""
    from kencore.words import numbers as wording
    from kencore.words import run as words

    if run["pruned"] is None:
        return ""
    say = words.perplexity if run["measure"] == "perplexity" else wording.percent
    before = "" if run["dense"] is None else f"{say(run['dense'])[: -2 if say is wording.percent else None]} → "
    return f"{run['measure']} {before}{say(run['pruned'])}"


def labeled(found: dict[str, Any]) -> str:
    """What a run is called from now on."""
    name = f"called {found['name']}" if found["name"] else "called by its settings"
    tags = f", tags: {', '.join(found['tags'])}" if found["tags"] else ""
    return f"{found['run']}: {name}{tags}."
