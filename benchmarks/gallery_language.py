"""Runs of a real language model for the gallery: pruned, measured, with changed answers and continued texts.

One loaded model serves all of them, and what it says of the text as a dense model is kept: each run takes one pass.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from kencore.checkpoint.pair import open_models
from kencore.explain.continuation import continued, departure, read_beginning
from kencore.models.figures import Figures
from kencore.models.language import Windows
from kencore.models.tokenizer import piece
from kencore.pruning.by_blocks import prune_on
from kencore.pruning.by_slices import Pruner, SliceRun
from kencore.pruning.plan import decide
from kencore.pruning.workbench import Workbench
from kencore.quality.answers import LINES
from kencore.quality.flips_text import Tally, compare_tokens
from kencore.quality.judge import measure, read_data, save_metrics
from kencore.quality.judge_model import DENSE
from kencore.quality.paired import versus
from kencore.quality.states import pruned_state
from kencore.runs.run import Run
from kencore.runs.texts import Continued, write_texts
from kencore.settings.prune import PruneSpec
from kencore.system.progress import silent

SPARSITIES = (0.6, 0.5)
CELLS = {
    "magnitude": ("magnitude", "uniform"),
    "wanda": ("wanda", "uniform"),
    "sparsegpt": ("sparsegpt", "uniform"),
    "neuroal": ("wanda", "neuroal"),
}
BEGINNINGS = (
    "The capital of France is",
    "Water boils when it is heated because",
    "Once upon a time, a small robot wanted to learn how to paint. On the first day",
)
TOKENS = 40


def spec_of(cell: str, sparsity: float, windows: int) -> PruneSpec:
    method, allocation = CELLS[cell]
    return PruneSpec(
        model="smollm2",
        method=method,
        allocation=allocation,
        keep=round(1 - sparsity, 4),
        measured=method == "magnitude",
        sequences=32,
        search_sequences=4,
        window=512,
        evaluation="pydoc",
        windows=windows,
        baselines=False,
        cost=False,
        fast=allocation == "neuroal",
        device="cpu",
    )


def make(work: Path, *, windows: int, threads: int) -> list[Path]:
    """Every cell as a run in a folder of ``work``; those that are there whole are not made again."""
    every = {(cell, sparsity): folder_of(work, cell, sparsity) for sparsity in SPARSITIES for cell in CELLS}
    missing = {key: spec_of(*key, windows) for key, folder in every.items() if not (folder / "texts.json").is_file()}
    if missing:
        _make(work, missing, threads)
    return list(every.values())


def _make(work: Path, missing: dict[tuple[str, float], PruneSpec], threads: int) -> None:
    first = next(spec for spec in missing.values() if spec.streams)
    pair = open_models(first)
    data = cast(Windows, read_data(pair.tuned.folder, first))
    bench = Workbench(pair, decide(pair, first), data, device="cpu", threads=threads, hold=True)
    watched = Watched(bench)
    dense: list[list[int]] = []
    for (cell, sparsity), spec in missing.items():
        began = time.monotonic()
        folder = folder_of(work, cell, sparsity)
        shutil.rmtree(folder, ignore_errors=True)  # without texts it is not whole
        watched.begin()
        run = pruned(bench, spec, folder, data, threads)
        assert watched.tally is not None
        watched.tally.flips(data, bench.language.tokenizer, {}).save(folder)
        print(f"{folder.name}: {run.metrics['pruned']['perplexity']:.1f}, {time.monotonic() - began:.0f} s", flush=True)
        for beside in CELLS:  # this one knows those made before, and they know it
            place = folder_of(work, beside, sparsity)
            if beside == cell or (place / "texts.json").is_file():
                told = Run(place)
                save_metrics(place, told.metrics | {"baselines": siblings(work, told, beside, sparsity)})
        texts(bench, run, dense)  # last: with them it is whole
        print(f"{folder.name}: whole after {time.monotonic() - began:.0f} s", flush=True)


def folder_of(work: Path, cell: str, sparsity: float) -> Path:
    return work / f"smollm2-{cell}-{100 * sparsity:g}"


class Watched:
    """What the model says of the windows while its quality is measured, beside what the dense model said."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self.ids = bench.judge.data.ids
        self.said: list[Tensor] = []
        self.tally: Tally | None = None
        self.done = 0
        bench.language.model.register_forward_hook(self.hook)
        self.on = True
        bench.judge.known[DENSE] = bench.judge.quality(dense=True)  # others are compared with its logits
        self.on = False

    def begin(self) -> None:
        self.tally, self.done, self.on = Tally(LINES), 0, True

    def hook(self, model: Any, args: Any, output: Any) -> None:
        logits = output.logits
        if not self.on or logits.shape[1] != self.ids.shape[1]:
            return
        for one in logits.detach():
            if self.tally is None:
                self.said.append(one.float())
            else:
                place = self.done * self.ids.shape[1]
                self.tally.add(compare_tokens(self.said[self.done], one.float(), self.ids[self.done], place))
                self.done += 1
                self.on = self.done < len(self.ids)


def siblings(work: Path, run: Run, cell: str, sparsity: float) -> dict[str, Any]:
    """Other runs at the same budget as this one's baselines: the same windows, measured by the same process."""
    found = {}
    for other in CELLS:
        folder = folder_of(work, other, sparsity)
        if other in (cell, "neuroal") or not (folder / "metrics.json").is_file():
            continue
        metrics = Run(folder).metrics
        step = Figures(metrics["pruned"], np.array(metrics["outcomes"]["nll"]))
        own = Figures(run.metrics["pruned"], np.array(run.metrics["outcomes"]["nll"]))
        name = "uniform" if (cell, other) == ("neuroal", "wanda") else other
        found[name] = {**step, "versus_pruned": versus(own, step)}
    return found


def pruned(bench: Workbench, spec: PruneSpec, folder: Path, windows: Windows, threads: int) -> Run:
    started = time.monotonic()
    if spec.streams:
        return prune_on(bench, spec, folder, threads=threads, started=started, progress=silent)
    with SliceRun(bench.pair, spec, folder) as made:
        Pruner(bench.pair, [made], device="cpu", threads=threads, progress=silent).prune()
        written = made.write_tables()
        settings = {"device": "cpu", "threads": threads, "judge": bench.judge, "progress": silent}
        metrics = measure(written, windows, baselines=False, cost=False, **settings)
        made.finish(started=started, device="cpu", metrics=metrics)
    return Run(folder)


def texts(bench: Workbench, run: Run, dense: list[list[int]]) -> None:
    """Both models' continuations of the beginnings, as `kencore.explain.continue_text` gives them."""
    model = bench.language

    def added() -> list[list[int]]:
        return [continued(model, read_beginning(model, text)[0], TOKENS) for text in BEGINNINGS]

    if not dense:
        bench.restore()
        dense.extend(added())
    bench.judge.bring(run.tuned_tensors, pruned_state(run))
    found = []
    for text, before, after in zip(BEGINNINGS, dense, added(), strict=True):
        sides = {"dense": before, "pruned": after}
        pieces = {name: tuple(piece(model.tokenizer, number) for number in sides[name]) for name in sides}
        found.append(Continued(text=text, departs=departure(before, after), **pieces))
    write_texts(run.path, found)
