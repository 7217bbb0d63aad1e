r"""Perplexity of every method with every allocation: who wins, and by how much.

    python benchmarks/perplexity.py --model demo-lm --text ../shared/data/wikitext-2/test.txt
    python benchmarks/perplexity.py --model demo-lm --base demo-lm-base --methods ken delta random

Each line is measured in this one run, on the same windows, with the target met to the entry. With
``--table FILE`` results are kept there as they come, and a run that was cut off goes on from it.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kencore.allocate.table import ALLOCATIONS as ALLOCATED
from kencore.checkpoint.pair import open_models
from kencore.data.calibration import calibration_windows
from kencore.models.figures import mean_interval
from kencore.models.language import usual_window
from kencore.pruning.plan import decide
from kencore.pruning.search.allocate import AllocationSettings, allocate
from kencore.pruning.workbench import Workbench
from kencore.quality.judge import fitting_data
from kencore.settings.prune import PruneSpec

SCORES = ["magnitude", "wanda", "multiflow", "sparsegpt"]
ALLOCATIONS = {
    "uniform": ("uniform", "block", "local"),
    "owl": ("owl", "block", "local"),
    "alpha": ("alpha", "block", "local"),
    "dlp": ("dlp", "block", "local"),
    "atp": ("atp", "block", "local"),
    "neuroal block": ("neuroal", "block", "local"),
    "neuroal block, global": ("neuroal", "block", "global"),
    "neuroal row": ("neuroal", "row", "local"),
    "neuroal both": ("neuroal", "both", "local"),
}
Point = dict[str, Any]
LINEAR = torch.nn.functional.linear


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--base", help="entries go back to it instead of becoming zero")
    parser.add_argument("--text", required=True, help="what perplexity is measured on")
    parser.add_argument("--calibration", default="pydoc")
    parser.add_argument("--methods", nargs="+", default=SCORES)
    parser.add_argument("--allocations", nargs="+", default=list(ALLOCATIONS), metavar="NAME")
    parser.add_argument("--sparsities", nargs="+", type=float, default=[0.5, 0.6, 0.7, 0.8])
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--search-sequences", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the calibration text's windows")
    parser.add_argument("--window", type=int)
    parser.add_argument("--windows", type=int, default=64, help="of the text; 0: all")
    parser.add_argument(
        "--halves", action="store_true", help="measure with products in bfloat16; pruning is not changed"
    )
    parser.add_argument(
        "--onednn",
        action="store_true",
        help="products by oneDNN, in float32 too: twice as fast as MKL on AMD processors",
    )
    parser.add_argument(
        "--bos", action="store_true", help="begin every window with what the tokenizer begins a text with"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--table", type=Path, nargs="+", default=[], help="JSON file that keeps the results, and others to read with it"
    )
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    if args.onednn:
        torch.nn.functional.linear = by_onednn
    held = [json.loads(file.read_text()) if file.exists() else [] for file in args.table] or [[]]
    own: list[Point] = held[0]  # the file that is written to
    known: list[Point] = [point for points in held for point in points]
    missing = [key for key in wanted(args) if not any(key.items() <= point.items() for point in known)]
    if missing:
        table = Table(args)
        missing = [key for key in missing if key["method"] != "dense"]
        known.append(measured_dense(args, table.dense))
        own.append(known[-1])
        print(f"dense: {table.dense:.2f}", flush=True)
    for key in missing:
        point = key | table.measure(key["method"], key["allocation"], key["sparsity"])
        known.append(point)
        own.append(point)
        print(line(point), flush=True)
        if args.table:
            args.table[0].write_text(json.dumps(own, indent=1))
    print("\n".join(report([point for point in known if point["seed"] == args.seed], args)))


def by_onednn(inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """`torch.nn.functional.linear` by the library that torch uses for bfloat16."""
    if torch.is_autocast_enabled(inputs.device.type) or inputs.dtype is not torch.float32:
        return LINEAR(inputs, weight, bias)
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return product


def wanted(args: argparse.Namespace) -> Iterator[Point]:
    """What names each cell, the dense model first."""
    yield {"method": "dense", "seed": args.seed}
    for sparsity in args.sparsities:
        for method in args.methods:
            for name in args.allocations:
                if method == "sparsegpt" and name in ("neuroal row", "neuroal both"):
                    continue  # its masks are not per row
                yield {"method": method, "allocation": name, "sparsity": sparsity, "seed": args.seed}


def measured_dense(args: argparse.Namespace, perplexity: float) -> Point:
    """The dense model as a cell."""
    return {"method": "dense", "allocation": "", "sparsity": 0.0, "seed": args.seed, "perplexity": perplexity}


class Table:
    """The model, its calibration text and the windows that all points share."""

    def __init__(self, args: argparse.Namespace) -> None:
        method = "wanda" if args.base is None else "magnitude"
        spec = PruneSpec(
            model=args.model, base=args.base, method=method, allocation="owl", keep=0.5, device=args.device
        )
        pair = open_models(spec)
        bench = Workbench(pair, decide(pair, spec), device=args.device, threads=args.threads)
        self.bench, language = bench, bench.language
        self.halves = torch.autocast(args.device, torch.bfloat16, enabled=args.halves)
        window = args.window or usual_window(language.positions)
        bench.judge.data = fitting_data(
            pair.tuned.folder, args.text, window=window, limit=args.windows or None, bos=args.bos
        )
        self.ids = calibration_windows(
            language.tokenizer,
            args.calibration,
            sequences=args.sequences,
            window=window,
            seed=args.seed,
            positions=language.positions,
            bos=args.bos,
        ).ids
        self.streams = self.bench.capture(self.ids)
        self.search = self.bench.capture(self.ids[: args.search_sequences])
        with self.halves:
            self.dense: float = self.bench.judge.quality()["perplexity"]

    def measure(self, method: str, name: str, sparsity: float) -> Point:
        """Allocate, prune, measure, and put everything back."""
        started = time.monotonic()
        allocation, step, reference = ALLOCATIONS[name]
        rule = self.bench.rule(method)
        found = allocate(
            self.bench.blocks,
            self.streams if ALLOCATED[allocation].measures == "scores" else self.search,
            rule,
            AllocationSettings(allocation=allocation, step=step, reference=reference, sparsity=sparsity),
        )
        seen = self.streams if found.rule.needs else self.search  # or nothing is learnt from running more
        self.bench.prune_all(seen, found.rule, found.counts)
        with self.halves:
            measured = self.bench.judge.quality()
        self.bench.restore()
        chosen = {part: found.trace[part]["chosen"] for part in ("block_search", "row_search") if found.trace.get(part)}
        return {
            "perplexity": measured["perplexity"],
            "nll": measured["nll"],
            "nlls": [round(float(value), 5) for value in measured.outcomes],
            **chosen,
            "seconds": round(time.monotonic() - started, 2),
        }


def line(point: Point) -> str:
    chosen = " ".join(f"{part[:-7]} {point[part]:g}" for part in point if part.endswith("_search"))
    return (
        f"{point['sparsity']:g} {point['method']:10} {point['allocation']:22} "
        f"{point['perplexity']:9.2f}  {point['seconds']:6.1f} s  {chosen}"
    )


def report(points: list[Point], args: argparse.Namespace) -> Iterator[str]:
    """One table per sparsity, and every allocation against the uniform one."""
    cells = {(p["sparsity"], p["method"], p["allocation"]): p for p in points}
    dense = cells.pop((0.0, "dense", ""))["perplexity"]
    for sparsity in args.sparsities:
        yield f"\nsparsity {sparsity:g}, dense {dense:.2f}\n"
        yield "| allocation | " + " | ".join(args.methods) + " |"
        yield "|---|" + "---|" * len(args.methods)
        for name in args.allocations:
            found = [cells.get((sparsity, method, name)) for method in args.methods]
            yield (
                f"| {name} | "
                + " | ".join("" if point is None else f"{point['perplexity']:.1f}" for point in found)
                + " |"
            )
    yield "\n| allocation | better than uniform | geometric mean of perplexity over uniform's |"
    yield "|---|---|---|"
    for name in args.allocations:
        gaps = [
            point["nll"] - cells[sparsity, method, "uniform"]["nll"]
            for (sparsity, method, allocation), point in cells.items()
            if allocation == name and (sparsity, method, "uniform") in cells
        ]
        if gaps and name != "uniform":
            better = sum(gap < 0 for gap in gaps)
            yield f"| {name} | {better} of {len(gaps)} | {math.exp(sum(gaps) / len(gaps)):.3f} |"

    yield "\n| sparsity | method | allocation | over uniform's perplexity, paired 95 % interval | over neuroal's |"
    yield "|---|---|---|---|---|"
    for (sparsity, method, name), point in cells.items():
        if name != "uniform":
            others = (cells.get((sparsity, method, other)) for other in ("uniform", "neuroal block"))
            yield f"| {sparsity:g} | {method} | {name} | " + " | ".join(ratio(point, other) for other in others) + " |"


def ratio(point: Point, other: Point | None) -> str:
    """Perplexity over another cell's, from the differences of the same windows; "" without the other."""
    if other is None or other is point:
        return ""
    gaps = np.subtract(point["nlls"], other["nlls"])
    interval = mean_interval(gaps)
    low_high = "" if interval is None else f" ({math.exp(interval[0]):.3f} to {math.exp(interval[1]):.3f})"
    return f"{math.exp(float(gaps.mean())):.3f}{low_high}"


if __name__ == "__main__":
    main()
