"""The command ``flips``: which answers pruning changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kencore.cli.frame import Json, Threads, command
from kencore.cli.options import Asked, asked_of, options_of
from kencore.settings.jobs import FlipsAsked
from kencore.views.flips import FILTERS

SHOWN = 20  # lines in words
WIDTH = 60  # characters of a sentence in words


@options_of(FlipsAsked)
def flips(
    asked: Asked,
    which: Annotated[str, typer.Option("--filter", help=f"One of {', '.join(FILTERS)}.")] = "changed",
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"At most so many lines; {SHOWN} by default, all with --csv or --json.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the lines as CSV.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Also write flips.parquet, as a run folder keeps it, into this folder.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Compute them even where the run keeps them.")] = False,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """List the sentences or tokens that the dense and the pruned model answer differently."""
    from kencore.cli.compare import write
    from kencore.errors import SpecError
    from kencore.quality.answers import LINES
    from kencore.quality.flips import flips as compute
    from kencore.quality.flips import keep_flips
    from kencore.runs.flips import known_flips
    from kencore.runs.run import open_run
    from kencore.views.flips import chosen

    with command(as_json) as (report, show):
        if which not in FILTERS:
            raise SpecError("filter", got=which, wanted=f"one of {', '.join(FILTERS)}", remedy="Choose one of them.")
        given = FlipsAsked(**asked_of(FlipsAsked, asked))
        opened = open_run(given.run)
        many = max(LINES, limit or 0)
        found = None if again or given.data is not None or many > LINES else known_flips(opened.path, opened.metrics)
        if found is None:
            how: dict[str, Any] = {"baselines": given.baselines, "device": given.device}
            found = compute(opened, given.data, **how, limit=many, threads=threads, progress=report)
            keep_flips(opened, found)
        if out is not None:
            found.save(out)
        lines = chosen(found.table, which, limit)
        if csv is not None:
            write(csv, lines.to_csv(index=False))
        show({"run": opened.id, "filter": which, **found.facts, "lines": lines.to_dict("records")}, text)


def text(facts: Mapping[str, Any]) -> str:
    """The same for people."""
    from kencore.words import flips as words

    lines = facts["lines"]
    said = [f"{words.finding(facts)}, on {facts['data']}.", words.balance(facts)]
    if not lines:
        return "\n".join([*said, f"No line of the kind {facts['filter']}."])
    token, rules = words.is_text(facts), ("dense", "pruned", *facts["baselines"])
    head = ["KL", "truth", *rules, "after" if token else "sentence"]
    rows = [head, *([*_cells(line, rules, token=token), _end(line, token=token)] for line in lines[:SHOWN])]
    wide = [max(len(row[i]) for row in rows) for i in range(len(head))]
    said += ["  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip() for row in rows]
    if len(lines) > SHOWN:
        said.append(f"{len(lines) - SHOWN:,} more with --csv, --json or in the app.")
    return "\n".join(said)


def _cells(line: Mapping[str, Any], rules: tuple[str, ...], *, token: bool) -> list[str]:
    from kencore.words import flips as words

    truth = words.shown(line["truth"]) if token else str(line["truth"])
    return [
        f"{line['kl']:.3f}",
        truth,
        *(words.answer(line[rule], line[f"{rule}_p"], token=token).replace("\u00a0", " ") for rule in rules),
    ]


def _end(line: Mapping[str, Any], *, token: bool) -> str:
    """What of the text fits: a sentence from its beginning, what stands before a token to its end."""
    text = " ".join(" / ".join(part for part in (line["text"], line["pair"]) if part).split())
    if len(text) <= WIDTH:
        return text
    return "…" + text[-WIDTH + 1 :] if token else text[: WIDTH - 1] + "…"
