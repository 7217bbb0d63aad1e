"""The command that trains a pruned model with its mask held."""

from __future__ import annotations

import sys
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kencore.cli import evaluate
from kencore.cli import prune as cli_text
from kencore.cli.frame import Json, Threads, command
from kencore.cli.options import Asked, asked_of, options_of
from kencore.settings.recover import RecoverSpec

if TYPE_CHECKING:
    from kencore.runs.run import Run

STOPPED = "Interrupted. The same command continues from the last checkpoint, if there is one."


@options_of(RecoverSpec)
def recover(
    asked: Asked,
    threads: Threads = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default in the store.")] = None,
    as_json: Json = False,
) -> None:
    """Train a pruned model to win quality back: kept weights learn, what was pruned stays as it is.

    The same command continues a recovery that was stopped.
    """
    from kencore.recovery import recover as run_recover

    with command(as_json, STOPPED) as (report, show):
        spec = RecoverSpec(**asked_of(RecoverSpec, asked))
        tuned = run_recover(spec, out=out, progress=report, threads=threads)
        show(tuned_facts(tuned), tuned_text)


@wraps(recover)
def tune(**given: Any) -> None:
    """`recover` by the name that it had in 0.1.0."""
    print("`tune` is now `recover`.", file=sys.stderr)
    recover(**given)


def tuned_facts(run: Run) -> dict[str, Any]:
    """The facts of a tuned run as plain values: those of the run, and ``tuning``."""
    from kencore.recovery.gap import recovered

    return {**cli_text.run_facts(run), "tuning": run.tuning, "recovered": recovered(run.metrics)}


def tuned_text(facts: dict[str, Any]) -> str:
    """What `recover` did."""
    told = facts["tuning"]
    early = ", stopped early" if told["stopped_early"] else f" of {told['steps_asked']:,}"
    lines = [
        f"Trained {told['trained']:,} of {facts['params']:,} values for {told['steps']:,} "
        f"steps{early}; kept step {told['best_step']:,}, where held-out loss was lowest "
        f"({told['best_held_out_loss']:.4f}).",
        f"{facts['reset']:,} pruned values are unchanged, bit for bit.",
        _gap_head(told),
        *(_gap_line(state, told["gap"][state]) for state in ("dense", "untuned", "tuned") if state in told["gap"]),
    ]
    lines += [f"Note: {note}" for note in told["notes"]]
    lines.append(f"{facts['seconds']:.1f} s on {facts['device']}. Run: {facts['folder']}")
    if facts["metrics"]:
        lines.append(evaluate.judged(facts["metrics"]))
    if facts["recovered"] is not None:
        lines.append(f"Recovery won back {facts['recovered']:.0%} of what pruning lost.")
    return "\n".join(lines)


def _gap_head(told: dict[str, Any]) -> str:
    what = "Nats per token" if told["task"] == "language" else "Accuracy"
    return f"{what} on training data ({told['train']['data']}) and held-out data ({told['held_out']['data']}):"


def _gap_line(step: str, figures: dict[str, Any]) -> str:
    name, form = ("nll", ".4f") if "nll" in figures["train"] else ("accuracy", ".2%")
    train, held_out = (figures[side][name] for side in ("train", "held_out"))
    line = f"  {step:<10} {train:{form}}  {held_out:{form}}  gap {figures['gap']:{form}}"
    if "gap_low" in figures:
        line += f" ({figures['gap_low']:{form}} to {figures['gap_high']:{form}})"
    return line
