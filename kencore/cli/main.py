"""The command line: everything the app can do, over the same functions.

Exit codes: 0 done; 1 a mistake that the message explains, or a sweep with a failed pruning; 2 wrong
usage; 130 interrupted.
With ``--json`` standard output holds one JSON object and nothing else; progress goes to
standard error.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from kencore.cli import compare as cli_compare
from kencore.cli import explain as cli_explain
from kencore.cli import files as cli_files
from kencore.cli import prune as cli_text
from kencore.cli import recover as cli_tune
from kencore.cli import report as cli_report
from kencore.cli import sweep as cli_sweep
from kencore.cli.frame import TEXTS, Json, command
from kencore.errors import SpecError
from kencore.settings.checks import complement
from kencore.settings.prune import (
    ALLOCATIONS,
    METHODS,
    NEEDS_BASE,
    PROPAGATIONS,
    REFERENCES,
    REFINEMENTS,
    RESCALES,
    STEPS,
    PruneSpec,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Prune a transformer and show which parameters were kept, why, and what that cost.",
)

Device = Annotated[str, typer.Option(help="auto, cpu, mps, cuda or cuda:N.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores by default.")]
Revision = Annotated[str | None, typer.Option(help="Hub revision: branch, tag or commit.")]
Window = Annotated[int | None, typer.Option(help="Tokens of a window; by default 2,048, or what the model reads.")]
Windows = Annotated[int | None, typer.Option(help="Measure on at most so many windows of text; by default all.")]


@app.command()
def inspect(
    model: Annotated[str, typer.Argument(help="demo, demo-lm, a folder, a hub id, or a subnetwork file.")],
    base: Annotated[str | None, typer.Option(help="Its pretrained base, to check the pair.")] = None,
    model_revision: Revision = None,
    base_revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Say what a model, or a pair, is made of and what can be pruned, without loading weights.

    Of a subnetwork file: what it holds and which base it needs, after checking all of it.
    """
    from kencore.exports.subnetwork.open import inspect_subnetwork, is_subnetwork
    from kencore.models.inspect import inspect as look

    with command(as_json) as (report, show):
        if is_subnetwork(model) or _named_subnetwork(model):
            if base is not None:
                raise SpecError(
                    "base",
                    got=f"one beside the subnetwork file {model}",
                    wanted="the file alone",
                    remedy="Leave it out. `open FILE FOLDER --base BASE` checks the two together.",
                )
            show(inspect_subnetwork(model), cli_text.subnetwork)
            return
        found = look(
            model,
            "demo-base" if (model, base) == ("demo", None) else base,
            model_revision=model_revision,
            base_revision=base_revision,
            progress=report,
        )
        show(found, cli_text.inspected)


def _named_subnetwork(text: str) -> bool:
    """Whether a file that does not begin like a subnetwork file has the name of one."""
    return Path(text).suffix == ".subnetwork" and Path(text).is_file()


def _one_of(words: tuple[str, ...]) -> str:
    return f"One of {', '.join(words)}."


@app.command()
def prune(
    model: Annotated[str, typer.Option(help="The model: demo, demo-lm, a folder or a hub id.")],
    base: Annotated[
        str | None,
        typer.Option(
            help="Its pretrained base, same forms: what is not kept goes back to it, and becomes "
            f"zero without one. {', '.join(sorted(NEEDS_BASE))} and --rescale need it; demo and "
            "demo-lm bring theirs along."
        ),
    ] = None,
    method: Annotated[str, typer.Option(help=_one_of(METHODS))] = "ken",
    keep: Annotated[float | None, typer.Option(help="Share of each row that is kept.")] = None,
    sparsity: Annotated[float | None, typer.Option(help="1 - keep: the other side of it.")] = None,
    k: Annotated[int | None, typer.Option("--k", "-k", help="Entries kept per row.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="all, blocks, attention, feed-forward, a role or a name pattern; may be repeated."),
    ] = None,
    embeddings: Annotated[bool, typer.Option(help="Prune embeddings too.")] = True,
    vectors: Annotated[bool, typer.Option(help="Prune norms and biases too.")] = True,
    head: Annotated[bool, typer.Option(help="Prune the head, where the base has one.")] = True,
    allocation: Annotated[str, typer.Option(help=f"How sparsity is shared out. {_one_of(ALLOCATIONS)}")] = "uniform",
    step: Annotated[str, typer.Option(help=f"Of neuroal: what is searched. {_one_of(STEPS)}")] = "block",
    reference: Annotated[str, typer.Option(help=f"Of neuroal: what is compared with. {_one_of(REFERENCES)}")] = "local",
    block_lambda: Annotated[
        float | None, typer.Option(help="Of neuroal: this slope over blocks; by default searched.")
    ] = None,
    row_lambda: Annotated[
        float | None, typer.Option(help="Of neuroal: this spread over rows; by default searched.")
    ] = None,
    balance: Annotated[
        list[str] | None,
        typer.Option(
            help="A fader, such as q=1.5 or b3=0.5: that role or block keeps so many times its "
            "share, the others give way, the total is held. May be repeated."
        ),
    ] = None,
    refine: Annotated[str, typer.Option(help=f"Swap entries afterwards. {_one_of(REFINEMENTS)}")] = "none",
    rescale: Annotated[
        str,
        typer.Option(
            help="Of a model with a base: share divides kept differences by the kept share, energy "
            "by the kept share of the squared difference. "
            f"{_one_of(RESCALES)}"
        ),
    ] = "none",
    calibration: Annotated[str, typer.Option(help=f"Text for activations: {TEXTS}.")] = "pydoc",
    sequences: Annotated[int, typer.Option(help="Windows of calibration text.")] = 128,
    search_sequences: Annotated[int, typer.Option(help="How many of them an allocation is searched on.")] = 8,
    window: Window = None,
    propagate: Annotated[str, typer.Option(help=f"What a block is pruned on. {_one_of(PROPAGATIONS)}")] = "pruned",
    fast: Annotated[bool, typer.Option(help="Search on fewer candidates.")] = False,
    published: Annotated[bool, typer.Option(help="As NeuroAL's published code, its rounding included.")] = False,
    evaluation: Annotated[
        str | None,
        typer.Option(
            help="Measure quality: a classifier on demo or a .tsv, .jsonl or .parquet file of "
            f"labelled sentences, a language model on text ({TEXTS})."
        ),
    ] = None,
    windows: Windows = None,
    baselines: Annotated[
        bool, typer.Option(help="Where quality is measured: also other methods at that budget.")
    ] = True,
    seed: Annotated[int, typer.Option(help="For the random rule and the choice of calibration windows.")] = 0,
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
    """Prune a model, against its base or to zero, and write a run."""
    from kencore.pruning.prune import prune as run_prune
    from kencore.system.whole import check_free

    with command(as_json) as (report, show):
        spec = PruneSpec(
            model=model,
            base=base,
            method=method,
            k=k,
            keep=_share(keep, sparsity),
            scope=tuple(scope or ("all",)),
            embeddings=embeddings,
            vectors=vectors,
            head=head,
            allocation=allocation,
            step=step,
            reference=reference,
            refine=refine,
            block_lambda=block_lambda,
            row_lambda=row_lambda,
            balance=tuple(balance or ()),
            rescale=rescale,
            calibration=calibration,
            sequences=sequences,
            search_sequences=search_sequences,
            window=window,
            propagate=propagate,
            fast=fast,
            published=published,
            evaluation=evaluation,
            windows=windows,
            baselines=baselines,
            seed=seed,
            device=device,
            model_revision=model_revision,
            base_revision=base_revision,
        )
        if save_model is not None:
            check_free(save_model)  # now, not after hours of work
        run = run_prune(spec, out=out, progress=report, threads=threads)
        if save_model is not None:
            run.save_pretrained(save_model)
        show(cli_text.run_facts(run), cli_text.pruned)


@app.command()
def evaluate(
    subject: Annotated[str, typer.Argument(help="A run (id or folder; demo is the demo run) or a model.")],
    data: Annotated[
        str | None,
        typer.Option(
            help="For a classifier demo or a .tsv, .jsonl or .parquet file of labelled sentences; "
            f"for a language model {TEXTS}."
        ),
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(
            help="Of a language model: zero-shot tasks, joined by commas: names that "
            "lm-evaluation-harness knows (boolq, rte, arc_easy, ...) or .yaml files of your own."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Of tasks: the first so many examples of each.")] = None,
    baselines: Annotated[bool, typer.Option(help="Of a run: also other methods at its budget.")] = True,
    save: Annotated[bool, typer.Option(help="Of a run: keep the result in the run.")] = False,
    window: Window = None,
    windows: Windows = None,
    device: Device = "auto",
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Measure a run (dense and pruned) or a model: quality, zero-shot tasks, what it costs."""
    from kencore.quality.zero_shot import judge_all

    with command(as_json) as (report, show):
        found = judge_all(
            subject,
            data,
            _words(tasks),
            limit=limit,
            save=save,
            progress=report,
            device=device,
            threads=threads,
            baselines=baselines,
            window=window,
            windows=windows,
        )
        show(found, cli_text.judged)


app.command("export")(cli_files.export)
app.command("open")(cli_files.open_file)
app.command("report")(cli_report.report)
app.command("tune")(cli_tune.tune)
app.command("explain")(cli_explain.explain)
app.command("sweep")(cli_sweep.sweep)
app.command("sweeps")(cli_sweep.sweeps)
app.command("compare")(cli_compare.compare)


@app.command()
def runs(as_json: Json = False) -> None:
    """List the runs of the store."""
    from kencore.runs.shelf import list_runs

    with command(as_json) as (_, show):
        lines = [
            {"id": r.id, "label": r.label, "created": r.created, "problem": r.problem, "folder": str(r.path)}
            for r in list_runs()
        ]
        show({"runs": lines}, cli_text.runs)


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def _share(keep: float | None, sparsity: float | None) -> float | None:
    """What is kept; a share that cannot be is told by `PruneSpec`."""
    if sparsity is None:
        return keep
    if keep is not None:
        raise SpecError(
            "keep and sparsity", got="both", wanted="one of them", remedy="--sparsity 0.25 is the same as --keep 0.75."
        )
    return complement(sparsity)


def _terminated(number: int, frame: object) -> None:
    sys.exit(128 + number)  # an exception, so that half-written folders are removed


def main() -> None:
    """Entry point of ``python -m kencore`` and of the ``kencore`` command."""
    signal.signal(signal.SIGTERM, _terminated)
    app()
