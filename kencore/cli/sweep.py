"""Commands that prune by a grid and list what came of it."""

from __future__ import annotations

import errno
import math
import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kencore.cli.frame import Json, Threads, command
from kencore.cli.options import Asked, asked_of, options_of, words_of
from kencore.settings.sweep import SweepSpec

if TYPE_CHECKING:
    import pandas as pd

    from kencore.sweeps.shelf import Sweep

STOPPED = "Interrupted. The same command continues and repeats no finished pruning."


@options_of(SweepSpec, "model", "base")
def sweep(
    asked: Asked,
    threads: Threads = None,
    shard: Annotated[
        str | None,
        typer.Option(
            help="i/n: only part i of n, for n processes with one store; by default the place in a Slurm job array, "
            "if there is one."
        ),
    ] = None,
    print_commands: Annotated[
        bool, typer.Option("--print-commands", help="Run nothing: print one command for every pruning.")
    ] = False,
    out_csv: Annotated[Path | None, typer.Option(help="Also write one line per pruning to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Prune by every combination of methods, budgets and seeds; say which is best at what size.

    The same settings are the same sweep: what is finished stays, what is missing is done. Where a
    pruning failed the exit code is 1.
    """
    from kencore.sweeps.sweep import sweep as run_sweep
    from kencore.system.shard import Shard

    with command(as_json, STOPPED) as (report, show):
        if out_csv is not None:
            check_csv(out_csv)
        spec = SweepSpec(**asked_of(SweepSpec, asked))
        if print_commands:
            show({"commands": commands(spec)}, lambda facts: "\n".join(facts["commands"]))
            return
        part = Shard.from_slurm() if shard is None else Shard.from_text(shard)
        if not part.alone:
            report(0, 1, f"Shard {part}: {len(part.of(spec.points()))} of {len(spec.points())} prunings")
        found = run_sweep(spec, shard=part, progress=report, threads=threads)
        if out_csv is not None:
            write_csv(found.points, out_csv)
        facts = sweep_facts(found)
        show(facts, sweep_text)
    if facts["failed"]:
        raise typer.Exit(1)


def sweeps(as_json: Json = False) -> None:
    """List the sweeps of the store."""
    from kencore.sweeps.shelf import list_sweeps

    with command(as_json) as (_, show):
        lines = [
            {
                "id": s.id,
                "label": s.label,
                "created": s.created,
                "planned": s.planned,
                "done": s.done,
                "failed": s.failed,
                "running": s.running,
                "problem": s.problem,
                "folder": str(s.path),
            }
            for s in list_sweeps()
        ]
        show({"sweeps": lines}, sweeps_text)


def commands(spec: SweepSpec) -> list[str]:
    """A command for every point, each of which does nothing where its run is there."""
    words = shlex.join(words_of(spec))
    count = len(spec.points())
    return [f"python -m kencore sweep {words} --shard {i}/{count}" for i in range(count)]


# --- facts and text ---------------------------------------------------------------------------


def sweep_facts(found: Sweep) -> dict[str, Any]:
    """The facts of a sweep as plain values."""
    from kencore.sweeps.pairs import could_be_chance
    from kencore.views.tradeoff import best_per_budget, curve, knees

    lines = curve(found.points, found.baselines)
    return {
        "sweep": found.id,
        "folder": str(found.path),
        "label": found.label,
        **found.progress,
        "points": _plain(found.points),
        "dense": found.dense,
        "curve": _plain(lines),
        "best": _plain(best_per_budget(lines, could_be_chance)),
        "knees": {name: _plain(lines.loc[[at]])[0] for name, at in knees(lines, found.dense).items()},
        "skipped": sorted({skipped.reason for skipped in found.skipped}),
        "notes": list(found.notes),
    }


def sweep_text(facts: dict[str, Any]) -> str:
    """The result of a sweep."""
    lines = [
        f"Sweep {facts['sweep']}: {facts['done']} of {facts['planned']} prunings done"
        + (f", {facts['failed']} failed" if facts["failed"] else "")
        + "."
    ]
    lines += [f"Failed: {p['run']}: {p['reason']}" for p in facts["points"] if p["state"] == "failed"]
    lines += [f"Left out: {reason}" for reason in facts["skipped"]]
    if facts["curve"]:
        lines += _table(facts)
    else:
        lines += [
            f"  {p['run']}: kept {p['kept']:,} ({p['kept_share']:.2%})" for p in facts["points"] if p["state"] == "done"
        ]
    lines += [f"Note: {note}" for note in facts["notes"]]
    return "\n".join([*lines, f"Sweep folder: {facts['folder']}"])


def sweeps_text(facts: dict[str, Any]) -> str:
    """The list of sweeps."""
    if not facts["sweeps"]:
        return "No sweeps yet."
    return "\n".join(
        f"{s['id']}  {s['problem'] or s['label']}  {s['done']} of {s['planned']} done"
        + (f", {s['failed']} failed" if s["failed"] else "")
        + (", running" if s["running"] else "")
        for s in facts["sweeps"]
    )


def _table(facts: dict[str, Any]) -> list[str]:
    knees = {(name, _budget(line)) for name, line in facts["knees"].items()}
    metric = facts["curve"][0]["metric"]
    wide = max(len(line["name"]) for line in facts["curve"]) + 2
    lines = [f"{metric.capitalize()} with its 95 % interval (* measured, but not part of the grid):"]
    if facts["dense"]:
        lines.append(f"  {'dense':<{wide}} {'':>9} {_dense(metric, facts['dense'])}")
    for line in facts["curve"]:
        name = line["name"] + ("*" if line["baseline"] else "")
        seeds = f"  {line['seeds']} seeds" if line["seeds"] > 1 else ""
        knee = "  <- knee" if (line["name"], _budget(line)) in knees else ""
        lines.append(f"  {name:<{wide}} {_budget(line):>9} {_between(metric, line)}{seeds}{knee}")
    lines.append("Best at each budget (tied: by the paired test on the same data the difference could be chance):")
    lines += [f"  {_budget(best):>9}  {_winner(best)}  {_between(metric, best)}" for best in facts["best"]]
    return lines


def _budget(line: dict[str, Any]) -> str:
    if line["keep"] is not None:
        return f"keep {line['keep']:g}"
    if line["k"] is not None:
        return f"k = {line['k']}"
    return f"{line['bytes']:,} B" if line["bits"] is None else f"{line['bits']:g} bits"


def _winner(best: dict[str, Any]) -> str:
    """Semicolons between names, since a name may have a comma: ``ken, rescaled by share``."""
    return str(best["best"]) + (f"; tied with {'; '.join(best['tied'])}" if best["tied"] else "")


def _dense(metric: str, dense: dict[str, Any]) -> str:
    ends = {end: dense.get(f"{metric}_{end}") for end in ("low", "high")}
    if None in ends.values():
        return _value(metric, dense[metric])
    return _between(metric, {"quality": dense[metric], **ends})


def _between(metric: str, line: dict[str, Any]) -> str:
    low, high = (_value(metric, line[end]) for end in ("low", "high"))
    return f"{_value(metric, line['quality'])} ({low} to {high})"


def _value(metric: str, value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:,.2f}" if metric == "perplexity" else f"{value:.2%}"


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of a table as JSON has them: no NaN, no infinity, no numpy."""
    return [
        {str(key): _known(value) for key, value in line.items()} for line in table.astype(object).to_dict("records")
    ]


def _known(value: Any) -> Any:
    import pandas as pd

    if isinstance(value, tuple):
        return list(value)
    if value is None or value is pd.NA:
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_csv(path: Path) -> None:
    """Find before a long sweep, not after it, that its table cannot be written.

    Raises:
        StoreNotWritableError: the folder is not there or not to be written, or the path is one.
    """
    from kencore.system.places import not_writable

    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise not_writable(path, error) from error


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table, whole or not at all; what is there is replaced.

    Raises:
        StoreNotWritableError: it cannot be written.
    """
    from kencore.system.whole import whole_file

    with whole_file(path, force=True) as temporary:
        table.to_csv(temporary, index=False)
