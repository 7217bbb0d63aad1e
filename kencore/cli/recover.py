"""The command that tunes a pruned model with its mask held."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kencore.cli import prune as cli_text
from kencore.cli.frame import TEXTS, Json, command
from kencore.settings.recover import AS_THE_RUN, SCHEDULES, TRAINS, TuneSpec

if TYPE_CHECKING:
    from kencore.runs.run import Run

NOTHING = "none"
STOPPED = "Interrupted. The same command goes on from the last checkpoint, if there is one yet."


def tune(
    run: Annotated[str, typer.Argument(help="The run to start from: its id or folder.")],
    data: Annotated[
        str,
        typer.Option(
            help="What it learns from. A classifier: demo or a .tsv, .jsonl or .parquet file of "
            f"labelled sentences; a language model: {TEXTS}."
        ),
    ],
    held_out: Annotated[
        str | None, typer.Option(help="What is measured meanwhile; by default a share of the data, kept out.")
    ] = None,
    held_out_share: Annotated[float, typer.Option(help="That share.")] = 0.1,
    method: Annotated[str, typer.Option(help="full: the kept weights themselves.")] = "full",
    train: Annotated[
        str,
        typer.Option(
            help=f"all: kept entries and what was not pruned; kept: kept entries alone. One of {', '.join(TRAINS)}."
        ),
    ] = "all",
    epochs: Annotated[int | None, typer.Option(help="Times through the data; by default 2.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps, instead of epochs.")] = None,
    batch: Annotated[int | None, typer.Option(help="Sentences (by default 32) or windows (8) of a step.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; by default 2e-5 (classifier) or 5e-5 (language model).")
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="Of matrices.")] = 0.01,
    warmup: Annotated[float, typer.Option(help="Share of steps over which the rate rises.")] = 0.06,
    schedule: Annotated[str, typer.Option(help=f"What it does then. One of {', '.join(SCHEDULES)}.")] = "linear",
    clip: Annotated[float, typer.Option(help="Largest norm of a gradient; 0: any.")] = 1.0,
    every: Annotated[int | None, typer.Option(help="Steps between measurements; by default a tenth of all.")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many without a lower held-out loss.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Of a classifier: tokens of a sentence.")] = None,
    window: Annotated[int | None, typer.Option(help="Of a language model: tokens of a window.")] = None,
    sample: Annotated[
        int | None, typer.Option(help="Measure at most so many sentences (1,000) or windows (128).")
    ] = None,
    evaluation: Annotated[
        str,
        typer.Option(
            help=f"What the tuned run is judged on: {AS_THE_RUN} (as the run it starts from), data "
            f"of the same kinds, or {NOTHING}."
        ),
    ] = AS_THE_RUN,
    baselines: Annotated[
        bool, typer.Option(help="Where it is judged: also other rules at that budget, not tuned.")
    ] = True,
    save_every: Annotated[int | None, typer.Option(help="Steps between checkpoints; by default one a minute.")] = None,
    seed: Annotated[int, typer.Option(help="Of the split, the order and dropout.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, mps, cuda or cuda:N.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default in the store.")] = None,
    as_json: Json = False,
) -> None:
    """Tune a pruned model: kept weights learn, what was pruned stays as it is.

    The same command goes on with a tuning that was stopped.
    """
    from kencore.recover import tune as run_tune

    with command(as_json, STOPPED) as (report, show):
        spec = TuneSpec(
            run=run,
            data=data,
            held_out=held_out,
            held_out_share=held_out_share,
            method=method,
            train=train,
            epochs=epochs,
            steps=steps,
            batch=batch,
            lr=lr,
            weight_decay=weight_decay,
            warmup=warmup,
            schedule=schedule,
            clip=clip or None,
            every=every,
            patience=patience,
            max_length=max_length,
            window=window,
            sample=sample,
            evaluation=None if evaluation == NOTHING else evaluation,
            baselines=baselines,
            save_every=save_every,
            seed=seed,
            device=device,
        )
        tuned = run_tune(spec, out=out, progress=report, threads=threads)
        show(tuned_facts(tuned), tuned_text)


def tuned_facts(run: Run) -> dict[str, Any]:
    """The facts of a tuned run as plain values: those of the run, and ``tuning``."""
    from kencore.recover.gap import recovered

    return {**cli_text.run_facts(run), "tuning": run.tuning, "recovered": recovered(run.metrics)}


def tuned_text(facts: dict[str, Any]) -> str:
    """What `tune` did."""
    told = facts["tuning"]
    early = ", stopped early" if told["stopped_early"] else f" of {told['steps_asked']:,}"
    lines = [
        f"Tuned {told['trained']:,} of {facts['params']:,} values for {told['steps']:,} "
        f"steps{early}; kept step {told['best_step']:,}, where held-out loss was lowest "
        f"({told['best_held_out_loss']:.4f}).",
        f"{facts['reset']:,} pruned values are as they were, bit for bit.",
        _gap_head(told),
        *(_gap_line(state, told["gap"][state]) for state in ("dense", "untuned", "tuned") if state in told["gap"]),
    ]
    lines += [f"Note: {note}" for note in told["notes"]]
    lines.append(f"{facts['seconds']:.1f} s on {facts['device']}. Run: {facts['folder']}")
    if facts["metrics"]:
        lines.append(cli_text.judged(facts["metrics"]))
    if facts["recovered"] is not None:
        lines.append(f"Tuning won back {facts['recovered']:.0%} of what pruning lost.")
    return "\n".join(lines)


def _gap_head(told: dict[str, Any]) -> str:
    what = "Nats per token" if told["task"] == "language" else "Accuracy"
    return f"{what} on training data ({told['train']['data']}) and on held-out data ({told['held_out']['data']}):"


def _gap_line(step: str, figures: dict[str, Any]) -> str:
    name, form = ("nll", ".4f") if "nll" in figures["train"] else ("accuracy", ".2%")
    train, held_out = (figures[side][name] for side in ("train", "held_out"))
    line = f"  {step:<10} {train:{form}}  {held_out:{form}}  gap {figures['gap']:{form}}"
    if "gap_low" in figures:
        line += f" ({figures['gap_low']:{form}} to {figures['gap_high']:{form}})"
    return line
