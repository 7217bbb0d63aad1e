"""A made-up run of a large model, to try the map and the matrix viewer on; and their times.

    python benchmarks/big_run.py FOLDER [--blocks 32] [--values 1] [--measure]

Writes a pair of checkpoints and a run ``big`` that looks like the pruning of a LLaMA of 4096 x
11008: q, k, v, o, gate, up and down of every block. FOLDER becomes a ``KENVIZ_HOME``.

What is made up: the masks are random bits, with densities of 25, 50 and 75 % in bands of rows; the
weights are small random float16 in the first ``--values`` blocks and zero in all others, whose
files have holes (they take no room on the disk). 32 blocks: 6.5 billion weights, about 1.8 GB.
``--measure`` prints what the atlas, tiles and windows cost in this process, without a browser.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kencore.checkpoint.write import header_bytes  # noqa: E402
from kencore.runs.run import Run  # noqa: E402
from kencore.runs.writer import RunWriter  # noqa: E402

HIDDEN, INNER, BAND = 4096, 11008, 512
PARTS = {
    "self_attn.q_proj": ("q", "attention", HIDDEN, HIDDEN),
    "self_attn.k_proj": ("k", "attention", HIDDEN, HIDDEN),
    "self_attn.v_proj": ("v", "attention", HIDDEN, HIDDEN),
    "self_attn.o_proj": ("o", "attention", HIDDEN, HIDDEN),
    "mlp.gate_proj": ("gate", "feed-forward", INNER, HIDDEN),
    "mlp.up_proj": ("up", "feed-forward", INNER, HIDDEN),
    "mlp.down_proj": ("down", "feed-forward", HIDDEN, INNER),
}
UP, DOWN = "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight"


def shapes(blocks: int) -> dict[str, tuple[int, int]]:
    """Name -> (rows, columns) of every matrix, in the order of the model."""
    return {
        f"model.layers.{block}.{part}.weight": (rows, cols)
        for block in range(blocks)
        for part, (_, _, rows, cols) in PARTS.items()
    }


def make(folder: Path, blocks: int = 32, values: int = 1) -> Run:
    """Write the pair and the run below ``folder``; see the module."""
    names = shapes(blocks)
    for side, seed in (("tuned", 1), ("base", 2)):
        write_checkpoint(folder / "pair" / side, names, values, seed)
    out = folder / "runs" / "big"
    rng = np.random.default_rng(0)
    with RunWriter(out, names) as writer:
        lines = [write_matrix(writer, name, rng) | hashes(folder / "pair", name) for name in names]
        writer.add_matrices(lines)
        spec = {"model": str(folder / "pair/tuned"), "base": str(folder / "pair/base"), "method": "random", "keep": 0.5}
        writer.add_json("spec.json", {"spec": spec, "versions": {}})
        sources = {side: {"text": str(folder / "pair" / side)} for side in ("tuned", "base")}
        writer.add_json(
            "record.json",
            {
                "created": "2026-01-01T00:00:00+00:00",
                "seconds": 1.0,
                "device": "cpu",
                "seconds_by_matrix": {},
                "notes": ["Made up: random masks."],
                "sources": sources,
            },
        )
        writer.add_json("metrics.json", {})
        writer.finish()
    return Run(out)


def write_checkpoint(folder: Path, names: dict[str, tuple[int, int]], values: int, seed: int) -> None:
    """float16 weights: random in the first blocks, holes behind them."""
    folder.mkdir(parents=True, exist_ok=True)
    head = header_bytes({name: ("F16", shape) for name, shape in names.items()}, None)
    total = sum(2 * rows * cols for rows, cols in names.values())
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name, (rows, cols) in list(names.items())[: values * len(PARTS)]:
            weights = np.random.default_rng([1, *name.encode()]).standard_normal((rows, cols), np.float32)
            if seed > 1:
                noise = np.random.default_rng([seed, *name.encode()])
                weights += 0.1 * noise.standard_normal((rows, cols), np.float32)
            file.write((0.02 * weights).astype(np.float16).tobytes())
        file.truncate(8 + len(head) + total)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    (folder / "config.json").write_text(json.dumps(config))


@cache
def empty(nbytes: int) -> str:
    """The hash of a tensor of zeros."""
    return sha256(bytes(nbytes)).hexdigest()


def hashes(pair: Path, name: str) -> dict[str, str]:
    """What the run remembers of its two checkpoints."""
    found = {}
    for side in ("tuned", "base"):
        with safe_open(pair / side / "model.safetensors", "numpy") as file:
            part = file.get_slice(name)
            if part[0:1].any():
                found[f"{side}_sha256"] = sha256(file.get_tensor(name).tobytes()).hexdigest()
            else:
                rows, cols = part.get_shape()
                found[f"{side}_sha256"] = empty(2 * rows * cols)
    return found


def write_matrix(writer: RunWriter, name: str, rng: np.random.Generator) -> dict[str, Any]:
    """Write the mask of one matrix; its line in the table of matrices."""
    rows, cols = writer.shapes[name]
    kept = []
    for first in range(0, rows, BAND):
        count = min(BAND, rows - first)
        keep = band(rng, first // BAND, count, cols)
        writer.add_rows(name, keep)
        kept.append(keep.sum(axis=1, dtype=np.int32))
    per_row = np.concatenate(kept)
    none = np.zeros(rows, np.float32)
    others = ("bandwidth", "value_min", "value_max", "diff_rms", "diff_share_kept")
    writer.add_table(name, [{"kept": per_row, **dict.fromkeys(others, none)}])
    role, part, _, _ = PARTS[".".join(name.split(".")[3:5])]
    total = int(per_row.sum())
    return {
        "name": name,
        "base_name": name,
        "block": int(name.split(".")[2]),
        "stack": "blocks",
        "role": role,
        "part": part,
        "shape": [rows, cols],
        "rows": rows,
        "cols": cols,
        "transposed": False,
        "dtype": "F16",
        "params": rows * cols,
        "status": "pruned",
        "reason": None,
        "k": None,
        "tied": [],
        "kept": total,
        "bytes_dense": 2 * rows * cols,
        "bytes_stored": 2 * total + rows * cols // 8,
        "tuned_mean": 0.0,
        "tuned_std": 0.02,
        "tuned_min": -0.1,
        "tuned_max": 0.1,
        "diff_rms": 0.002,
        "diff_share_kept": 0.5,
    }


def band(rng: np.random.Generator, number: int, rows: int, cols: int) -> np.ndarray:
    """Random bits, 25, 50 or 75 % of them set by the number of the band."""
    size = (rows, -(-cols // 8))
    packed = rng.integers(0, 256, size, np.uint8)
    if number % 3 != 1:
        more = rng.integers(0, 256, size, np.uint8)
        packed = packed & more if number % 3 == 0 else packed | more
    return np.unpackbits(packed, axis=1, count=cols, bitorder="little").view(np.bool_)


def measure(run: Run) -> Iterator[str]:
    """Times of what the map and the viewer ask for, cold (first) and warm (median of 5)."""
    from app.data import atlas, payload
    from kencore.views import tiles

    def tile(name: str, layer: str, cell: int, down: int, right: int) -> bytes:
        rows, cols = run.shape(name)
        span = {"r0": 0, "r1": min(rows, 64 * cell * down), "c0": 0, "c1": min(cols, 64 * cell * right)}
        return payload.window_bytes(run, name, layer, span, (cell, cell))

    span: dict[str, int | None] = {"r0": 2000, "r1": 2128, "c0": 3000, "c1": 3192}
    asked: dict[str, Callable[[], bytes]] = {
        "atlas, all matrices": lambda: atlas.atlas_bytes(run),
        "kept, 16 x 16 a cell, whole matrix": lambda: tile(DOWN, "kept", 16, 4, 11),
        "kept, 4 x 4 a cell, 2048 x 2816": lambda: tile(DOWN, "kept", 4, 8, 11),
        "kept, 1 x 1 a cell, 320 x 512": lambda: tile(DOWN, "kept", 1, 5, 8),
        "tuned, 4 x 4 a cell, 1280 x 2048": lambda: tile(DOWN, "tuned", 4, 5, 8),
        "tuned, 16 x 16 a cell, whole matrix": lambda: tile(DOWN, "tuned", 16, 4, 11),
        "neighbours, 4 x 4 a cell, 1280 x 2048": lambda: tile(DOWN, "neighbours", 4, 5, 8),
        "single weights, 128 x 192": lambda: payload.window_bytes(run, DOWN, "kept", span),
    }
    for label, ask in asked.items():
        if label.startswith("atlas"):
            tiles.overview_counts.cache_clear()
        times, size = [], 0
        for _ in range(6):
            began = time.perf_counter()
            size = len(ask())
            times.append(1000 * (time.perf_counter() - began))
        yield f"{label:<42}{times[0]:8.1f} ms {median(times[1:]):8.1f} ms {size / 1e3:9.1f} kB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--blocks", type=int, default=32)
    parser.add_argument("--values", type=int, default=1, help="blocks with random weights")
    parser.add_argument("--measure", action="store_true")
    asked = parser.parse_args()
    began = time.perf_counter()
    folder = asked.folder.resolve()
    there = folder / "runs" / "big"
    run = Run(there) if there.is_dir() else make(folder, asked.blocks, asked.values)
    print(f"{there}: {len(run.pruned)} matrices, {time.perf_counter() - began:.0f} s")
    if asked.measure:
        print(f"{'':<42}{'first':>11} {'again':>11} {'sent':>12}")
        for line in measure(run):
            print(line, flush=True)


if __name__ == "__main__":
    main()
