"""What a CUDA card gives: selection, scores, SparseGPT and a NeuroAL search, beside the CPU and beside ``torch.sort``.

    python benchmarks/gpu.py                # on a card, about five minutes; writes gpu.json
    python benchmarks/gpu.py --device cpu   # a dry run on small shapes, to see that it runs

Nothing but the installed package is needed: matrices are drawn with a fixed seed, the language model is built from a
config. Every time is a median over repetitions after one that is not counted, in milliseconds, of device time with
the queue empty before and after. Masks on the card are compared with those of the CPU on the same rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import unittest.mock
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from kencore.checkpoint.layout import read_layout
from kencore.methods.scored import keep_lowest_pruned
from kencore.methods.select import select
from kencore.methods.sparsegpt import sparsegpt
from kencore.methods.statistics import RunningInputs
from kencore.methods.wanda import wanda
from kencore.models.blocks import BlockModel, capture
from kencore.pruning.rule import Rule
from kencore.pruning.search.allocate import AllocationSettings, allocate

BERT = {"BERT-base attention": (768, 768), "BERT-base up": (3072, 768), "BERT-base down": (768, 3072)}
LLAMA = {"LLaMA-7B attention": (4096, 4096), "LLaMA-7B up": (11008, 4096), "LLaMA-7B down": (4096, 11008)}
DRY = {"small square": (96, 96), "small wide": (48, 160)}
CHECKED = 64  # rows whose mask is compared with the CPU's
STD = 0.04  # of the weights, as in BERT


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measurement: what of which shape, milliseconds, what it is a ratio to, and whether masks agree."""

    what: str
    shape: str
    ms: float
    over: str = ""
    ratio: float | None = None
    same: bool | None = None

    def text(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:8.2f} x {self.over}"
        same = {None: "", True: "  same mask as the CPU", False: "  OTHER MASK THAN THE CPU"}[self.same]
        return f"{self.what:24} {self.shape:34} {self.ms:10.2f} ms {ratio}{same}"


def median_ms(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The median of some calls after the first, the card idle before and after each."""
    found = []
    for _ in range(repeats + 1):
        _wait(device)
        start = time.perf_counter()
        call()
        _wait(device)
        found.append(1000 * (time.perf_counter() - start))
    return statistics.median(found[1:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix(rows: int, columns: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(rows + columns)
    return (STD * torch.randn(rows, columns, generator=generator)).to(device)


def selection(name: str, shape: tuple[int, int], device: torch.device, repeats: int) -> Iterator[Line]:
    """The rules that need no activations, over ``torch.sort`` of the same matrix."""
    weight = matrix(*shape, device)
    base = weight + 0.1 * matrix(shape[0], shape[1] + 1, device)[:, :-1]
    where, k = f"{name} {shape[0]} x {shape[1]}", shape[1] // 2
    sort = median_ms(lambda: torch.sort(weight), device, repeats)
    yield Line(what="torch.sort", shape=where, ms=sort)
    for rule in ("ken", "delta", "magnitude"):
        other = base if rule in ("ken", "delta") else None
        taken = median_ms(lambda rule=rule, other=other: select(weight, k, rule, other), device, repeats)
        keep = select(weight, k, rule, other)[:CHECKED].cpu()
        rows = None if other is None else other[:CHECKED].cpu()
        same = torch.equal(keep, select(weight[:CHECKED].cpu(), k, rule, rows))
        yield Line(what=f"select {rule}", shape=where, ms=taken, over="torch.sort", ratio=taken / sort, same=same)
    with unittest.mock.patch("kencore.methods.ken.cuda._failed", ["left out"]):  # as if Triton had failed
        taken = median_ms(lambda: select(weight, k, "ken", base), device, repeats)
        yield Line(what="select ken, no Triton", shape=where, ms=taken, over="torch.sort", ratio=taken / sort)


def slider(name: str, shape: tuple[int, int], device: torch.device, repeats: int) -> Line:
    """One step of a slider: another share of the same matrix, none asked for before."""
    weight, shares = matrix(*shape, device), iter(range(1, repeats + 2))
    step = shape[1] // (repeats + 3)
    taken = median_ms(lambda: select(weight, step * next(shares), "magnitude"), device, repeats)
    return Line(what="slider step", shape=f"{name} {shape[0]} x {shape[1]}", ms=taken)


def scored(name: str, shape: tuple[int, int], device: torch.device, repeats: int) -> Iterator[Line]:
    """Wanda's score and mask, and SparseGPT with its factorization, from the inputs of 2,048 tokens."""
    weight, columns = matrix(*shape, device), shape[1]
    inputs = matrix(2 * columns, columns, device)
    seen = RunningInputs(columns, frozenset({"norm"}), device=device)
    seen.add(inputs[None])
    where, gone = f"{name} {shape[0]} x {shape[1]}", columns // 2
    keep = keep_lowest_pruned(wanda(weight, seen), gone)
    own = RunningInputs(columns, frozenset({"norm"}))
    own.add(inputs[None].cpu())
    same = _agree(keep[:CHECKED].cpu(), keep_lowest_pruned(wanda(weight[:CHECKED].cpu(), own), gone))
    taken = median_ms(lambda: keep_lowest_pruned(wanda(weight, seen), gone), device, repeats)
    yield Line(what="wanda", shape=where, ms=taken, same=same)
    hessian = inputs.T @ inputs / len(inputs)
    taken = median_ms(lambda: sparsegpt(weight, hessian, weight.numel() // 2), device, min(repeats, 3))
    yield Line(what="sparsegpt", shape=where, ms=taken)


def _agree(first: Tensor, other: Tensor) -> bool:
    """Norms are sums in another order on a card: scores a rounding apart may change places, and no others."""
    return float((first != other).float().mean()) < 1e-4


def search(device: torch.device, *, dry: bool) -> Iterator[Line]:
    """NeuroAL's block search per candidate, on a LLaMA of two blocks: 7B's width, or small in a dry run."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = (64, 96, 4) if dry else (4096, 11008, 32)
    hidden, inner, heads = sizes
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        num_hidden_layers=2,
        vocab_size=1000,
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        LlamaForCausalLM(config).save_pretrained(folder)
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False).eval()
        blocks = BlockModel(model, read_layout(Path(folder)))
    ids = torch.randint(1000, (2, 64) if dry else (8, 2048), generator=torch.Generator().manual_seed(1))
    streams = capture(blocks, ids, device=device)
    for method in ("wanda", "sparsegpt"):
        settings = AllocationSettings(allocation="neuroal", sparsity=0.6, lambdas=(0.01, 0.05, 0.1))
        start = time.perf_counter()
        allocate(blocks, streams, Rule(method=method), settings)
        _wait(device)
        taken = 1000 * (time.perf_counter() - start) / len(settings.lambdas or ())
        shape = f"two blocks of width {hidden}, {ids.numel():,} tokens"
        yield Line(what=f"neuroal over {method}", shape=shape, ms=taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    asked = parser.parse_args()
    device, dry = torch.device(asked.device), asked.device == "cpu"
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "a dry run on the CPU, small shapes"
    print(f"{card}, torch {torch.__version__}, medians of {asked.repeats}", flush=True)
    found: list[Line] = []

    def told(lines: Iterator[Line]) -> None:
        for line in lines:
            found.append(line)
            print(line.text(), flush=True)

    for name, shape in DRY.items() if dry else (BERT | LLAMA).items():
        told(selection(name, shape, device, asked.repeats))
        told(iter([slider(name, shape, device, asked.repeats)]))
        told(scored(name, shape, device, asked.repeats))
    told(search(device, dry=dry))
    asked.out.write_text(json.dumps({"card": card, "lines": [asdict(line) for line in found]}, indent=1), "utf-8")
    if any(line.same is False for line in found):
        raise SystemExit("a mask on the card is not the CPU's")


if __name__ == "__main__":
    main()
