"""The command ``gallery``: finished runs of real models that ship with the project."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kencore.cli.frame import Json, Threads, command

ADDED = 60  # characters of a continued text in words


def gallery(
    name: Annotated[str | None, typer.Argument(help="A run of the gallery; without it all of them.")] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Prune again and keep the run with its masks in the store, so that single weights can be looked at. "
            "Takes the model, and seconds to minutes.",
        ),
    ] = False,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Show finished runs of real models that come with KEN_viz: no computing, no download."""
    from kencore.errors import SpecError

    with command(as_json) as (report, show):
        if name is None and whole:
            raise SpecError("--whole", got="no run", wanted="the name of one", remedy="List them without --whole.")
        if name is None:
            show({"gallery": [_line(one) for one in _exhibits()]}, listed)
            return
        if whole:
            from kencore.pruning.whole import make_whole

            made, same = make_whole(name, threads=threads, progress=report)
            show({"run": made.id, "folder": str(made.path), "same": same}, made_whole)
            return
        show(_one(name), told)


def _exhibits() -> list[Any]:
    from kencore.words.gallery import gallery as every

    return every()


def _line(one: Any) -> dict[str, Any]:
    """One run as plain values."""
    level = None if one.verdict is None else one.verdict.level
    return {
        "run": one.id,
        "model": one.title,
        "method": one.method,
        "sparsity": one.sparsity,
        "verdict": level,
        "dense": one.dense,
        "pruned": one.quality,
    }


def _one(name: str) -> dict[str, Any]:
    """One run with its verdict in full and its texts."""
    from dataclasses import asdict

    from kencore.errors import RunNotFoundError
    from kencore.runs.run import open_run
    from kencore.runs.texts import read_texts

    found = next((one for one in _exhibits() if one.id == name), None)
    if found is None:
        raise RunNotFoundError(
            repr(name),
            got="no such run in the gallery",
            wanted="one of those that ship",
            remedy="List them with `python -m kencore gallery`.",
        )
    run = open_run(name)
    verdict = None if found.verdict is None else found.verdict.text
    texts = [asdict(one) for one in read_texts(run.path)]
    whole = "" if not run.thin else f"python -m kencore gallery {name} --whole"
    return _line(found) | {"verdict": verdict, "about": found.about, "whole": whole, "texts": texts}


def listed(facts: dict[str, Any]) -> str:
    """The list for people."""
    lines = facts["gallery"]
    if not lines:
        return "No run ships with this installation."
    head = ("run", "model", "method", "sparsity", "verdict", "dense", "pruned")
    rows = [head, *(tuple(_cell(line, key) for key in head) for line in lines)]
    wide = [max(len(row[i]) for row in rows) for i in range(len(head))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip() for row in rows]
    return "\n".join([*table, "More of one: python -m kencore gallery RUN, or in the app: Overview."])


def _cell(line: dict[str, Any], key: str) -> str:
    from kencore.words import numbers as wording

    return wording.percent(line[key], 0) if key == "sparsity" else str(line[key] or "")


def told(facts: dict[str, Any]) -> str:
    """One run for people."""
    lines = [f"{facts['model']}, {facts['method']}, {_cell(facts, 'sparsity')} sparsity", facts["verdict"] or ""]
    for one in facts["texts"]:
        lines += ["", one["text"]]
        for side in ("dense", "pruned"):
            added = " ".join("".join(one[side]).split())
            lines.append(f"  {side:7}…{added[:ADDED]}{'…' if len(added) > ADDED else ''}")
    lines += ["", facts["about"]]
    if facts["whole"]:
        lines.append(f"Ships without its masks. With them: {facts['whole']}")
    return "\n".join(line for line in lines if line is not None)


def made_whole(facts: dict[str, Any]) -> str:
    """What `--whole` made."""
    if facts["same"]:
        return f"{facts['run']} is whole now, the same in every cell as the one that ships: {facts['folder']}"
    return (
        f"{facts['run']} is whole now: {facts['folder']}\nThis machine rounds otherwise: a few weights differ from "
        f"those of the run that ships. Measure it with `python -m kencore evaluate {facts['run']} --save`."
    )
