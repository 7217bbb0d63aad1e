"""NeuroAL's search and the pruning after it: ours beside the straightforward way.

Both run in one process on one thread, in CPU seconds: search on 8 sequences, prune on all of
them. Costs, lambdas and masks must be the same bits.

    python benchmarks/neuroal.py FOLDER                     # a folder of recorded cases, its models
    python benchmarks/neuroal.py --model DIR --method wanda # another OPT, Phi, LLaMA or Mistral
    python benchmarks/neuroal.py FOLDER --fast              # fast mode over all recorded searches
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import plain_neuroal
from kencore.checkpoint.layout import read_layout
from kencore.models.blocks import BlockModel, capture
from kencore.pruning.blocks import prune_blocks
from kencore.pruning.rule import Rule
from kencore.pruning.search.allocate import AllocationSettings, allocate
from kencore.system.progress import Clock

SEARCH_SEQUENCES = 8
GOAL, FAST_GOAL = 0.45, 0.3


@dataclass
class Timed:
    """One search and pruning: CPU seconds of each phase, and what came out."""

    search: float
    prune: float
    clock: dict[str, float]
    block_costs: list[float]
    row_costs: list[float]
    lambdas: list[float]
    gone: list[Tensor]

    @property
    def total(self) -> float:
        return self.search + self.prune


def load(folder: Path) -> BlockModel:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False).eval()
    return BlockModel(model, read_layout(folder))


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def ours(model: BlockModel, ids: Tensor, method: str, settings: AllocationSettings) -> Timed:
    rule = Rule(method=method, published=settings.published)
    own = {slot.name: model.weight(slot.name).clone() for slot in model.slots}

    def search() -> Any:
        streams = capture(model, ids[:SEARCH_SEQUENCES])
        return allocate(model, streams, rule, settings, clock=clock)

    def prune() -> list[Tensor]:
        streams = capture(model, ids)
        parts = prune_blocks(model, streams, found.rule, found.counts, norms=False, clock=clock)
        return [~part.keep for part in parts]

    clock = Clock(time.process_time)
    searched, found = timed(search)
    pruned, gone = timed(prune)
    for name, weight in own.items():
        model.set_weight(name, weight)
    steps = [found.trace[step] for step in ("block_search", "row_search")]
    return Timed(
        search=searched,
        prune=pruned,
        clock=dict(clock.seconds),
        block_costs=steps[0]["costs"] if steps[0] else [],
        row_costs=steps[1]["costs"] if steps[1] else [],
        lambdas=[step["chosen"] for step in steps if step],
        gone=gone,
    )


def plain(model: BlockModel, ids: Tensor, method: str, settings: AllocationSettings) -> Timed:
    own = {slot.name: model.weight(slot.name).clone() for slot in model.slots}
    blocks = model.model.get_submodule(model.path)

    def search() -> plain_neuroal.Search:
        caught = plain_neuroal.catch(model.model, blocks, ids[:SEARCH_SEQUENCES])
        return plain_neuroal.search(caught, method, settings.sparsity, settings.step)

    def prune() -> list[Tensor]:
        caught = plain_neuroal.catch(model.model, blocks, ids)
        rows = found.row_lambda is not None
        return list(plain_neuroal.prune(caught, method, found.shares, rows).values())

    searched, found = timed(search)
    pruned, gone = timed(prune)
    for name, weight in own.items():
        model.set_weight(name, weight)
    lambdas = [lam for lam in (found.block_lambda, found.row_lambda) if lam is not None]
    return Timed(
        search=searched,
        prune=pruned,
        clock={},
        block_costs=found.block_costs,
        row_costs=found.row_costs,
        lambdas=lambdas,
        gone=gone,
    )


def compare(model: BlockModel, ids: Tensor, method: str, sparsity: float, step: str) -> float:
    """Print both; the ratio of their CPU seconds."""
    settings = AllocationSettings(allocation="neuroal", sparsity=sparsity, step=step, published=True)
    mine, other = ours(model, ids, method, settings), plain(model, ids, method, settings)
    quick = ours(
        model,
        ids,
        method,
        AllocationSettings(allocation="neuroal", sparsity=sparsity, step=step, published=True, fast=True),
    )
    passes = 2 * SEARCH_SEQUENCES * (len(mine.block_costs) + len(mine.row_costs))
    same = (
        ("costs", mine.block_costs + mine.row_costs == other.block_costs + other.row_costs),
        ("lambdas", mine.lambdas == other.lambdas),
        ("masks", all(torch.equal(a, b) for a, b in zip(mine.gone, other.gone, strict=True))),
    )
    print(f"{method}, {step}, sparsity {sparsity:g}")
    for name, run in (("plain", other), ("ours", mine), ("fast", quick)):
        print(
            f"  {name:6} search {run.search:7.2f} s  prune {run.prune:6.2f} s  "
            f"{passes / run.search:7.1f} sequences/s  of plain {run.total / other.total:5.2f}  "
            f"{phases(run)}",
            flush=True,
        )
    print("  bit for bit: " + ", ".join(f"{what} {'same' if ok else 'DIFFERENT'}" for what, ok in same))
    print(f"  lambdas {mine.lambdas}, fast {quick.lambdas}")
    return mine.total / other.total


def phases(run: Timed) -> str:
    """Shares of the time in forward passes, statistics and pruning."""
    return "  ".join(f"{key} {100 * own / run.total:.0f} %" for key, own in run.clock.items())


def fast_cases(folder: Path, models: dict[str, BlockModel]) -> None:
    """How often fast mode chooses another lambda than was recorded."""
    rows, taken = [], 0.0
    for path in sorted(folder.glob("*__neuroal-*.npz")):
        with np.load(path) as case:
            meta = json.loads(bytes(case["meta"]))
            scores = {step: case[f"{step}_scores"] for step in ("block", "row") if f"{step}_scores" in case.files}
            ids, sparsity = torch.from_numpy(case["calib_ids"]).long(), float(case["sparsity"])
        model = models.setdefault(meta["model"], load(folder / "models" / meta["model"]))
        settings = AllocationSettings(
            allocation="neuroal", sparsity=sparsity, step=meta["step"], published=True, fast=True
        )
        streams = capture(model, ids[:SEARCH_SEQUENCES])
        rule = Rule(method=meta["prune_method"], published=True)
        seconds, found = timed(lambda: allocate(model, streams, rule, settings))  # noqa: B023
        taken += seconds
        for step in ("block", "row"):
            record = found.trace[f"{step}_search"]
            if record:
                wanted, chosen = meta[f"lambda_{step}"], record["chosen"]
                more = scores[step][meta[f"{step}_lambdas"].index(chosen)] / scores[step].min() - 1
                rows.append((step, chosen == wanted))
                mark = "" if rows[-1][1] else f"  recorded {wanted:g}, costs {100 * more:.2f} % less"
                print(f"  {path.stem:44} {step:5} {chosen:g}{mark}", flush=True)
    for step in ("block", "row"):
        own = [same for kind, same in rows if kind == step]
        print(f"fast, {step} step: another lambda in {own.count(False)} of {len(own)}")
    print(f"fast searches: {taken:.1f} CPU seconds in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="recorded cases, models/ beside them")
    parser.add_argument("--model", type=Path, help="a model's folder instead")
    parser.add_argument("--method", action="append", help="wanda unless named, several allowed")
    parser.add_argument("--sparsity", type=float, default=0.7)
    parser.add_argument("--step", default="both", choices=("block", "row", "both"))
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--fast", action="store_true", help="fast mode over every recorded search")
    options = parser.parse_args()
    if not options.folder and not options.model:
        parser.error("name a folder of recorded cases, or --model")
    torch.set_num_threads(1)
    folders = [options.model] if options.model else sorted((options.folder / "models").iterdir())
    models, ratios = {}, []
    for folder in folders:
        model = models[folder.name] = load(folder)
        size = int(model.model.config.vocab_size)
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(size, (options.sequences, options.window), generator=generator)
        if options.folder and (options.folder / "calib.npz").is_file():
            ids = torch.from_numpy(np.load(options.folder / "calib.npz")["calib"]).long()
        print(f"{folder.name}: {tuple(ids.shape)} tokens")
        for method in options.method or ["wanda"]:
            step = "block" if method == "sparsegpt" else options.step
            ratios.append(compare(model, ids, method, options.sparsity, step))
    verdict = "met" if max(ratios) <= GOAL else "missed"
    print(f"worst ratio {max(ratios):.2f} (goal {GOAL}: {verdict}; fast mode {FAST_GOAL})")
    if options.fast and options.folder:
        fast_cases(options.folder, models)


if __name__ == "__main__":
    main()
