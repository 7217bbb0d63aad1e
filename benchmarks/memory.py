"""Peak memory of pruning a checkpoint of 8 shards, over the size of its largest tensor.

    python benchmarks/memory.py

Writes a random LLaMA-like pair of 8 shards each into a temporary folder, prunes it in a process of
its own and compares the highest resident memory there with what the same process holds after its
imports (the constant). Mapped pages of the checkpoints that are resident count as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HIDDEN, INNER, VOCABULARY, BLOCKS, SHARDS = 1536, 4096, 20_000, 4, 8
CHILD = """
import resource, sys, json
import numba, numpy, pandas, pyarrow.parquet, torch, transformers
from transformers import AutoConfig, AutoModelForCausalLM
from kencore import PruneSpec, prune
import kencore.methods.ken.rule, kencore.checkpoint.pair
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
model, base, tiny_model, tiny_base, out, threads = sys.argv[1:]
prune(PruneSpec(model=tiny_model, base=tiny_base, keep=0.5), out=out + "-tiny", threads=1)
before = peak()
prune(PruneSpec(model=model, base=base, keep=0.5), out=out, threads=int(threads))
print(json.dumps({"before": before, "peak": peak()}))
"""


def write_checkpoint(folder: Path, seed: int, sizes: tuple[int, int, int, int], shards: int) -> tuple[int, int]:
    """A random checkpoint in shards; (bytes of all tensors, bytes of the largest)."""
    hidden, inner, vocabulary, blocks = sizes
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": blocks,
        "vocab_size": vocabulary,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "tie_word_embeddings": False,
    }
    shapes = {"model.embed_tokens.weight": (vocabulary, hidden), "model.norm.weight": (hidden,)}
    shapes["lm_head.weight"] = (vocabulary, hidden)
    for block in range(blocks):
        stem = f"model.layers.{block}."
        shapes |= {f"{stem}self_attn.{p}_proj.weight": (hidden, hidden) for p in "qkvo"}
        shapes |= {f"{stem}mlp.{p}_proj.weight": (inner, hidden) for p in ("gate", "up")}
        shapes[f"{stem}mlp.down_proj.weight"] = (hidden, inner)
        shapes[f"{stem}input_layernorm.weight"] = (hidden,)
        shapes[f"{stem}post_attention_layernorm.weight"] = (hidden,)
    rng = np.random.default_rng(seed)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    names = list(shapes)
    where = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        part = names[shard::shards]
        tensors = {n: rng.standard_normal(shapes[n], np.float32) * 0.02 for n in part}
        save_file(tensors, folder / file, {"format": "pt"})
        where |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    sizes_in_bytes = [int(np.prod(shape)) * 4 for shape in shapes.values()]
    return sum(sizes_in_bytes), max(sizes_in_bytes)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large, tiny = (HIDDEN, INNER, VOCABULARY, BLOCKS), (64, 96, 99, 2)
        for side, seed in (("tuned", 1), ("base", 2)):
            total, largest = write_checkpoint(folder / side, seed, large, SHARDS)
            write_checkpoint(folder / f"tiny-{side}", seed, tiny, 2)
        print(f"checkpoint {total / 2**20:.0f} MiB in {SHARDS} shards, largest tensor {largest / 2**20:.0f} MiB")
        for threads in (1, 2):
            paths = [folder / name for name in ("tuned", "base", "tiny-tuned", "tiny-base")]
            arguments = [*map(str, [*paths, folder / f"run-{threads}"]), str(threads)]
            command = [sys.executable, "-c", CHILD, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            grown = found["peak"] - found["before"]
            print(
                f"{threads} thread(s): {found['before'] / 2**20:.0f} MiB after imports and a tiny "
                f"run, peak {found['peak'] / 2**20:.0f} MiB: grown by {grown / 2**20:.0f} MiB = "
                f"{grown / largest:.2f} x the largest tensor"
            )


if __name__ == "__main__":
    main()
