"""What tuning wins back of what pruning lost, on the demo encoder and the demo language model.

    python benchmarks/tuning.py [--models demo demo-lm] [--sparsity .5 .7 .8] [--threads 1]

The encoder (``ken`` and ``delta``, entries go back to the base) learns from SST-2 train, is watched
on SST-2 dev, which chooses the step that is kept, and is judged on SST-2 test: three ``.tsv`` files
in ``--sst2``. The language model (``wanda``, entries become zero) learns from the Python topics
that it was once tuned on, is watched on one half of the topics that it has never read, and is
judged on the other half. Prints one table in Markdown: quality with its 95 % interval, the share
of the loss that was won back, and the generalisation gap (training against watched data).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from kencore import PruneSpec, Run, prune
from kencore.data.text import read_text
from kencore.recovery import RecoverSpec, recover
from kencore.recovery.gap import recovered

SHARED = Path(os.environ.get("KENVIZ_SHARED", "../shared"))
METHODS = {"demo": ("ken", "delta"), "demo-lm": ("wanda",)}
HEAD = (
    "| model | method | sparsity | dense | pruned | tuned | won back | "
    "gap dense | gap pruned | gap tuned | steps (best) | training, s |"
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.5, 0.7, 0.8])
    parser.add_argument("--sst2", type=Path, default=SHARED / "data" / "sst2")
    parser.add_argument("--encoder-steps", type=int, default=216, help="of 32 sentences")
    parser.add_argument("--lm-steps", type=int, default=85, help="of 8 windows of 256 tokens")
    parser.add_argument("--encoder-rate", type=float, default=2e-4)
    parser.add_argument("--lm-rate", type=float, default=5e-4)
    parser.add_argument("--train", choices=("all", "kept"), default="all")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def halves(folder: Path) -> tuple[Path, Path]:
    """The topics that the demo language model has never read, in two files."""
    lines = read_text("pydoc", part="evaluation").text.splitlines(keepends=True)
    found = folder / "watched.txt", folder / "judged.txt"
    for path, part in zip(found, (lines[: len(lines) // 2], lines[len(lines) // 2 :]), strict=True):
        path.write_text("".join(part), "utf-8")
    return found


def settings(model: str, asked: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], ...]:
    """What differs between the models: of the pruning, and of the tuning."""
    if model == "demo":
        tuning = {
            "data": str(asked.sst2 / "train.tsv"),
            "held_out": str(asked.sst2 / "dev.tsv"),
            "evaluation": str(asked.sst2 / "test.tsv"),
            "steps": asked.encoder_steps,
            "lr": asked.encoder_rate,
        }
        return {}, tuning
    watched, judged = halves(folder)
    tuning = {
        "data": "pydoc",
        "held_out": str(watched),
        "evaluation": str(judged),
        "steps": asked.lm_steps,
        "lr": asked.lm_rate,
    }
    return {"sequences": 32, "window": 256}, tuning


def one(asked: argparse.Namespace, model: str, method: str, sparsity: float, folder: Path) -> Run:
    """Prune, then tune."""
    pruning, tuning = settings(model, asked, folder)
    spec = PruneSpec(
        model=model,
        method=method,
        keep=round(1 - sparsity, 6),
        scope=("blocks",),
        vectors=False,
        baselines=False,
        **pruning,
    )
    run = prune(spec, out=folder / "run", threads=asked.threads)
    wish = RecoverSpec(run=str(run.path), train=asked.train, baselines=False, weight_decay=0.01, **tuning)
    return recover(wish, folder / "tuned", threads=asked.threads)


def row(run: Run, model: str, method: str, sparsity: float) -> str:
    told, metrics = run.tuning, run.metrics
    assert told is not None
    share = recovered(metrics)
    cells = [
        model,
        method,
        f"{sparsity:.0%}",
        *(quality(metrics[step]) for step in ("dense", "untuned", "pruned")),
        "-" if share is None else f"{share:.0%}",
        *(gap(told["gap"][step]) for step in ("dense", "untuned", "tuned")),
        f"{told['steps']} ({told['best_step']})",
        f"{told['seconds']['training']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def quality(figures: dict[str, Any]) -> str:
    if "perplexity" in figures:
        low, high = figures["perplexity_low"], figures["perplexity_high"]
        return f"{figures['perplexity']:.1f} ({low:.1f} to {high:.1f})"
    low, high = figures["accuracy_low"], figures["accuracy_high"]
    return f"{figures['accuracy']:.1%} ({low:.1%} to {high:.1%})"


def gap(figures: dict[str, Any]) -> str:
    if "nll" in figures["train"]:
        return f"{figures['gap']:.2f} nats"
    return f"{100 * figures['gap']:.1f} points"


def main() -> None:
    asked = arguments()
    started = time.monotonic()
    print(f"{HEAD}\n{'|---' * 12}|", flush=True)
    for model in asked.models:
        for method in METHODS[model]:
            for sparsity in asked.sparsity:
                with tempfile.TemporaryDirectory() as folder:
                    run = one(asked, model, method, sparsity, Path(folder))
                    print(row(run, model, method, sparsity), flush=True)
    print(f"\n{time.monotonic() - started:.0f} s on {asked.threads} thread(s)")


if __name__ == "__main__":
    main()
