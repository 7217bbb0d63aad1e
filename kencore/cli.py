"""The command line: everything the app can do, over the same functions.

Exit codes: 0 done; 1 a mistake that the message explains; 2 wrong usage; 130 interrupted.
With ``--json`` standard output holds one JSON object and nothing else; progress goes to
standard error.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kencore import cli_text
from kencore.errors import KencoreError, SpecError
from kencore.spec import METHODS, PruneSpec

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Prune a transformer and show which parameters were kept, why, and what that cost.",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, mps, cuda or cuda:N.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores by default.")]
Revision = Annotated[str | None, typer.Option(help="Hub revision: branch, tag or commit.")]
Report = Callable[[float, float, str], None]


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="demo, a folder or a hub id.")],
    base: Annotated[
        str | None, typer.Option(help="Its pretrained base, to check the pair.")
    ] = None,
    model_revision: Revision = None,
    base_revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Say what a model, or a pair, is made of and what can be pruned, without loading weights."""
    from kencore.checkpoint.inspect import inspect as look

    with _command(as_json) as (report, show):
        found = look(
            model, "demo-base" if (model, base) == ("demo", None) else base,
            model_revision=model_revision, base_revision=base_revision, progress=report,
        )  # fmt: skip
        show(found, cli_text.inspected)


@app.command()
def prune(
    model: Annotated[str, typer.Option(help="The tuned model: demo, a folder or a hub id.")],
    base: Annotated[str | None, typer.Option(help="Its pretrained base, same forms.")] = None,
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = "ken",
    keep: Annotated[float | None, typer.Option(help="Share of each row that is kept.")] = None,
    sparsity: Annotated[float | None, typer.Option(help="1 - keep: the other side of it.")] = None,
    k: Annotated[int | None, typer.Option("--k", "-k", help="Entries kept per row.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="all, blocks, attention, feed-forward, a role or a name pattern; may be repeated."
        ),
    ] = None,
    embeddings: Annotated[bool, typer.Option(help="Prune embeddings too.")] = True,
    vectors: Annotated[bool, typer.Option(help="Prune norms and biases too.")] = True,
    head: Annotated[bool, typer.Option(help="Prune the head, where the base has one.")] = True,
    evaluation: Annotated[
        str | None, typer.Option(help="Measure on demo, or a .tsv, .jsonl or .parquet file.")
    ] = None,
    baselines: Annotated[
        bool, typer.Option(help="Measure random, magnitude and delta at the same budget.")
    ] = False,
    seed: Annotated[int, typer.Option(help="For the random rule.")] = 0,
    device: Device = "auto",
    threads: Threads = None,
    model_revision: Revision = None,
    base_revision: Revision = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default in the store.")] = None,
    save_model: Annotated[
        Path | None, typer.Option(help="Also write the pruned model as a Hugging Face folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prune a tuned model against its base and write a run."""
    from kencore.prune import prune as run_prune
    from kencore.store.export import check_free

    with _command(as_json) as (report, show):
        spec = PruneSpec(
            model=model, base=base, method=method, k=k, keep=_share(keep, sparsity),
            scope=tuple(scope or ("all",)), embeddings=embeddings, vectors=vectors, head=head,
            evaluation=evaluation, baselines=baselines, seed=seed, device=device,
            model_revision=model_revision, base_revision=base_revision,
        )  # fmt: skip
        if save_model is not None:
            check_free(save_model)  # now, not after hours of work
        run = run_prune(spec, out=out, progress=report, threads=threads)
        if save_model is not None:
            run.save_pretrained(save_model)
        show(cli_text.run_facts(run), cli_text.pruned)


@app.command()
def evaluate(
    subject: Annotated[
        str, typer.Argument(help="A run (id or folder; demo is the demo run) or a model.")
    ],
    data: Annotated[str, typer.Option(help="demo, or a .tsv, .jsonl or .parquet file.")],
    baselines: Annotated[
        bool, typer.Option(help="Of a run: also random, magnitude and delta at its budget.")
    ] = False,
    save: Annotated[bool, typer.Option(help="Of a run: keep the result in the run.")] = False,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Measure accuracy and F1 of a run (dense, base and pruned) or of a model."""
    from kencore.quality import judge

    with _command(as_json) as (report, show):
        found = judge(
            subject, data,
            baselines=baselines, save=save, device=device, threads=threads, progress=report,
        )  # fmt: skip
        show(found, cli_text.judged)


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="A run: its id or folder.")],
    folder: Annotated[Path, typer.Argument(help="The Hugging Face folder to write.")],
    as_json: Json = False,
) -> None:
    """Write the pruned model of a run as a Hugging Face folder."""
    from kencore import open_run

    with _command(as_json) as (report, show):
        report(0, 1, "Writing the pruned model")
        written = open_run(run).save_pretrained(folder)
        show({"folder": str(written)}, lambda facts: f"Wrote {facts['folder']}")


@app.command()
def runs(as_json: Json = False) -> None:
    """List the runs of the store."""
    from kencore.store.runs import list_runs

    with _command(as_json) as (_, show):
        lines = [
            {"id": r.id, "label": r.label, "created": r.created, "problem": r.problem,
             "folder": str(r.path)}
            for r in list_runs()
        ]  # fmt: skip
        show({"runs": lines}, cli_text.runs)


def _share(keep: float | None, sparsity: float | None) -> float | None:
    if sparsity is None:
        return keep
    if keep is not None or not 0 <= sparsity < 1:
        raise SpecError(
            "sparsity", got=str(sparsity) if keep is None else "keep as well",
            wanted="a share from 0 up to, not including, 1, and no keep beside it",
            remedy="--sparsity 0.25 is the same as --keep 0.75.",
        )  # fmt: skip
    return float(1 - Decimal(repr(sparsity)))  # 1 - 0.9 is 0.09999999999999998 in floats


@contextmanager
def _command(
    as_json: bool,
) -> Iterator[tuple[Report, Callable[[dict[str, Any], Callable[[dict[str, Any]], str]], None]]]:
    """Progress on standard error, the result on standard output, mistakes as one message."""

    def show(facts: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
        shown.append(json.dumps(facts, indent=2) if as_json else text(facts))

    shown: list[str] = []
    try:
        with _bar() as report:
            yield report, show
    except KencoreError as error:
        _fail({"error": error.to_json()}, str(error), as_json, 1)
    except KeyboardInterrupt:
        _fail(
            {"error": {"type": "Interrupted", "message": "interrupted"}},
            "Interrupted.",
            as_json,
            130,
        )
    for text in shown:
        print(text)


def _fail(facts: dict[str, Any], text: str, as_json: bool, code: int) -> None:
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        print(text, file=sys.stderr)
    raise typer.Exit(code)


@contextmanager
def _bar() -> Iterator[Report]:
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(done: float, total: float, message: str) -> None:
            bar.update(task, completed=done, total=total, description=message)

        yield report


def _terminated(number: int, frame: object) -> None:
    sys.exit(128 + number)  # an exception, so that half-written folders are removed


def main() -> None:
    """Entry point of ``python -m kencore`` and of the ``kencore`` command."""
    signal.signal(signal.SIGTERM, _terminated)
    app()
