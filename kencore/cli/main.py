"""The command line: everything the app can do, over the same functions.

Exit codes: 0 done; 1 a mistake that the message explains, or a sweep with a failed pruning; 2 wrong
usage; 130 interrupted.
With ``--json`` standard output holds one JSON object and nothing else; progress goes to
standard error.
"""

from __future__ import annotations

import signal
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Final

import typer

from kencore._version import __version__
from kencore.cli import compare as cli_compare
from kencore.cli import explain as cli_explain
from kencore.cli import files as cli_files
from kencore.cli import flips as cli_flips
from kencore.cli import gallery as cli_gallery
from kencore.cli import prune as cli_text
from kencore.cli import recover as cli_recover
from kencore.cli import report as cli_report
from kencore.cli import runs as cli_runs
from kencore.cli import sensitivity as cli_sensitivity
from kencore.cli import sweep as cli_sweep
from kencore.cli import warm as cli_warm
from kencore.cli.evaluate import judged
from kencore.cli.frame import Json, Threads, command
from kencore.cli.options import Asked, asked_of, option_of, options_of
from kencore.cli.panels import LOOK, MACHINE, MAKE, TAKE, add, set_width
from kencore.errors import MissingExtraError, SpecError
from kencore.settings.checks import complement
from kencore.settings.common import LABELLED, TEXTS
from kencore.settings.demo import DEMOS, MODEL_FORMS
from kencore.settings.prune import PruneSpec

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
PASSED_ON: Final = {"allow_extra_args": True, "ignore_unknown_options": True}

Device = Annotated[str, option_of("device")]
Revision = Annotated[str | None, option_of("model_revision")]
Window = Annotated[int | None, option_of("window")]
Windows = Annotated[int | None, option_of("windows")]


@add(app, "inspect", LOOK)
def inspect(
    model: Annotated[str, typer.Argument(help=f"A model ({MODEL_FORMS}) or a subnetwork file.")],
    base: Annotated[str | None, typer.Option(help="Its pretrained base, to check the pair.")] = None,
    model_revision: Revision = None,
    base_revision: Revision = None,
    data: Annotated[
        str | None, typer.Option(help="Also say how these data are read and what their labels mean to the model.")
    ] = None,
    timed: Annotated[
        bool,
        typer.Option(
            "--time", help="Also try a little of every method, for about ten seconds, and say how long each will take."
        ),
    ] = False,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Say what a model, or a pair, is made of and what can be pruned, without loading weights.

    Of a subnetwork file: what it holds and which base it needs, after checking all of it. Where the data cannot be
    used the exit code is 1.
    """
    from kencore.exports.subnetwork.read import inspect_subnetwork, is_subnetwork
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
            _own_base(model) if base is None else base,
            model_revision=model_revision,
            base_revision=base_revision,
            data=data,
            progress=report,
        )
        if timed:
            import psutil

            from kencore.pruning.probe import probe

            pair = base or _own_base(model)
            begun = time.time() - psutil.Process().create_time()
            revisions = {"model_revision": model_revision, "base_revision": base_revision if pair else None}
            found["time"] = probe(model, pair, data=data, threads=threads, begun=begun, progress=report, **revisions)
        show(found, cli_text.inspected)
    if data is not None and found["data"]["problem"]:
        raise typer.Exit(1)


def _own_base(model: str) -> str | None:
    """The base that always stands beside a demo."""
    return DEMOS[model].base if model in DEMOS and DEMOS[model].paired else None


def _named_subnetwork(text: str) -> bool:
    """Whether a file that does not begin like a subnetwork file has the name of one."""
    return Path(text).suffix == ".subnetwork" and Path(text).is_file()


@add(app, "prune", MAKE)
@options_of(PruneSpec, "model", "base")
def prune(
    asked: Asked,
    sparsity: Annotated[float | None, typer.Option(help="1 - keep: the other side of it.")] = None,
    threads: Threads = None,
    memory: Annotated[
        str | None,
        typer.Option(
            help="Memory that a method without activations may hold, such as 2GB; by default a quarter of what is free."
        ),
    ] = None,
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
        spec = PruneSpec(**asked_of(PruneSpec, asked | {"keep": _share(asked["keep"], sparsity)}))
        if save_model is not None:
            check_free(save_model)  # now, not after hours of work
        run = run_prune(spec, out=out, progress=report, threads=threads, memory=memory)
        if save_model is not None:
            run.save_pretrained(save_model)
        show(cli_text.run_facts(run), cli_text.pruned)


@add(app, "evaluate", LOOK)
def evaluate(
    subject: Annotated[str, typer.Argument(help="A run (id or folder; demo is the demo run) or a model.")],
    data: Annotated[
        str | None,
        typer.Option(
            help=f"For a classifier {LABELLED}; for a language model {TEXTS}; for an encoder without a head sentences."
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
    cost: Annotated[bool, option_of("cost")] = True,
    save: Annotated[bool, typer.Option(help="Of a run: keep the result in the run.")] = False,
    window: Window = None,
    windows: Windows = None,
    bos: Annotated[
        bool | None,
        typer.Option(
            help="Of text: begin every window with what the tokenizer puts before a text. Default: as the run."
        ),
    ] = None,
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
            cost=cost,
            window=window,
            windows=windows,
            bos=bos,
        )
        show(found, judged)


add(app, "recover", MAKE)(cli_recover.recover)
app.command("tune", hidden=True)(cli_recover.tune)
add(app, "sweep", MAKE)(cli_sweep.sweep)
add(app, "explain", LOOK)(cli_explain.explain)
add(app, "flips", LOOK)(cli_flips.flips)
add(app, "sensitivity", LOOK)(cli_sensitivity.sensitivity)
add(app, "gallery", LOOK)(cli_gallery.gallery)
add(app, "compare", LOOK)(cli_compare.compare)
add(app, "report", TAKE)(cli_report.report)
add(app, "export", TAKE)(cli_files.export)
add(app, "open", TAKE)(cli_files.open_file)
add(app, "convert", TAKE)(cli_files.convert)
add(app, "warm", MACHINE)(cli_warm.warm)
add(app, "runs", LOOK)(cli_runs.runs)
add(app, "sweeps", LOOK)(cli_sweep.sweeps)


@app.command("app", rich_help_panel=MACHINE, context_settings=PASSED_ON, add_help_option=False)
def open_app(context: typer.Context) -> None:
    """Open the app in the browser: the command `kenviz`, with its options."""
    for point in entry_points(group="console_scripts", name="kenviz"):
        sys.exit(point.load()(context.args))
    with command(False):
        raise MissingExtraError(
            "the app",
            got="the command kenviz is not installed",
            wanted="the package with its app",
            remedy="Install the project with `pip install .`.",
        )


def _say_version(asked: bool) -> None:
    if asked:
        print(f"KEN_viz {__version__}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def common(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Prune a transformer and show which parameters were kept, why, and what that cost."""


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
    set_width()
    app()
