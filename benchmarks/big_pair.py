"""Write a pair of checkpoints of the shape of LLaMA 7B, 13B or 70B, and measure pruning it in a fixed memory.

    python benchmarks/big_pair.py FOLDER --like 7b --gigabytes 3            # the pair: FOLDER/tuned and FOLDER/base
    python benchmarks/big_pair.py FOLDER --like 70b --values 1              # all 80 blocks, numbers in one of them
    python benchmarks/big_pair.py FOLDER --gigabytes 1 --measure ken bytes --memory 1GB
    python benchmarks/big_pair.py FOLDER --gigabytes 1 --measure ken --kill 3    # and once more, killed three times
    python benchmarks/big_pair.py FOLDER --gigabytes 1 --measure ken --memory 1GB --windows 4  # and its perplexity
    python benchmarks/big_pair.py FOLDER --gigabytes 1 --measure ken --out docs/results/big_pair.jsonl
    python benchmarks/big_pair.py --plot docs/images/big_pair.png --out docs/results/big_pair.jsonl

bfloat16, in shards with an index, names, config and header as ``save_pretrained`` writes them. ``--gigabytes`` (of one
side) takes as many blocks as fit, and halves all widths until two do; without it the pair has all blocks. Numbers come
from one pool of random values, cut at another place for every tensor; blocks behind ``--values`` are holes in the
files, which take no room on the disk. Each measurement is a process of its own on one thread: the highest resident
memory, pages of mapped files included, and CPU seconds, those of importing torch and transformers included.
``--kill`` prunes again in processes that get SIGKILL at random moments, each but the last, and compares every file of
the run; it says how many matrices were begun more than once, which are those that a process died in.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kencore.checkpoint.write import header_bytes  # noqa: E402

POOL, SHARD = 1 << 24, 5 * 10**9
CHILD = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
from kencore import PruneSpec, prune
began = time.perf_counter()
run = prune(PruneSpec(**json.loads(sys.argv[2])), out=sys.argv[3], threads=1, memory=json.loads(sys.argv[4]))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "peak": used.ru_maxrss * 1024, "cpu": used.ru_utime + used.ru_stime, "seconds": time.perf_counter() - began,
    "written": sum(path.stat().st_size for path in run.path.iterdir()), "weights": run.totals["params"]}))
"""


WATCHED = """
import json, sys
sys.path.insert(0, sys.argv[1])
from kencore import PruneSpec, prune
log, seen = open(sys.argv[5], "a", buffering=1), set()
def report(done, total, message):
    name = message.partition("Pruning ")[2].partition(" (")[0] or message.partition("Coding ")[2].partition(" (")[0]
    if name and name not in seen:
        seen.add(name)
        print(json.dumps([name, done / total]), file=log)
prune(PruneSpec(**json.loads(sys.argv[2])), out=sys.argv[3], threads=1, memory=json.loads(sys.argv[4]), progress=report)
"""
ACTIVATIONS = ("wanda", "sparsegpt", "multiflow")  # on 8 windows of 256 tokens, to zero
COLORS = {"ken": "#1e63b5", "bytes": "#c47a2c"}
SAME = ("masks.safetensors", "rows.parquet", "matrices.parquet", "spec.json", "metrics.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Widths and depth of a LLaMA."""

    hidden: int
    inner: int
    heads: int
    keys: int
    blocks: int
    vocabulary: int = 32_000

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape, in the order of the model."""
        side = self.hidden // self.heads * self.keys
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocabulary, self.hidden)}
        for block in range(self.blocks):
            stem = f"model.layers.{block}"
            found |= {f"{stem}.self_attn.{part}_proj.weight": (self.hidden, self.hidden) for part in "qo"}
            found |= {f"{stem}.self_attn.{part}_proj.weight": (side, self.hidden) for part in "kv"}
            found |= {f"{stem}.mlp.{part}_proj.weight": (self.inner, self.hidden) for part in ("gate", "up")}
            found[f"{stem}.mlp.down_proj.weight"] = (self.hidden, self.inner)
            found |= {f"{stem}.{part}_layernorm.weight": (self.hidden,) for part in ("input", "post_attention")}
        return found | {"model.norm.weight": (self.hidden,), "lm_head.weight": (self.vocabulary, self.hidden)}

    def config(self) -> dict[str, Any]:
        """``config.json``."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "dtype": "bfloat16",
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.blocks,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.keys,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
        }


SHAPES = {
    "7b": Shape(hidden=4096, inner=11008, heads=32, keys=32, blocks=32),
    "13b": Shape(hidden=5120, inner=13824, heads=40, keys=40, blocks=40),
    "70b": Shape(hidden=8192, inner=28672, heads=64, keys=8, blocks=80),
}


def weights(shape: Shape) -> int:
    """Weights of a model."""
    return sum(int(np.prod(one)) for one in shape.tensors().values())


def halved(shape: Shape) -> Shape:
    """Half as wide."""
    halves = {name: getattr(shape, name) // 2 for name in ("hidden", "inner", "heads", "keys", "vocabulary")}
    return replace(shape, **{name: max(1, half) for name, half in halves.items()})


def fitted(shape: Shape, gigabytes: float) -> Shape:
    """The same proportions with about so many bytes in bfloat16."""
    wanted = gigabytes * 1e9 / 2
    while weights(replace(shape, blocks=2)) > wanted:
        shape = halved(shape)
    bare, two = weights(replace(shape, blocks=0)), weights(replace(shape, blocks=1))
    return replace(shape, blocks=max(2, round((wanted - bare) / (two - bare))))


def write_pair(folder: Path, shape: Shape, values: int) -> None:
    """Both checkpoints; see the module."""
    rng = np.random.default_rng(0)
    base = (0.02 * rng.standard_normal(POOL, np.float32)).view(np.uint32)
    tuned = (base.view(np.float32) + 0.002 * rng.standard_normal(POOL, np.float32)).view(np.uint32)
    for side, pool in (("tuned", tuned), ("base", base)):
        write_checkpoint(folder / side, shape, values, (pool >> 16).astype(np.uint16))


def write_checkpoint(folder: Path, shape: Shape, values: int, pool: np.ndarray) -> None:
    """One side: shards, index, config."""
    folder.mkdir(parents=True)
    tensors = shape.tensors()
    shards: list[list[str]] = [[]]
    for name in tensors:
        if sum(2 * int(np.prod(tensors[other])) for other in [*shards[-1], name]) > SHARD and shards[-1]:
            shards.append([])
        shards[-1].append(name)
    where = {}
    for number, names in enumerate(shards):
        file = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        where |= dict.fromkeys(names, file)
        head = header_bytes({name: ("BF16", tensors[name]) for name in names}, {"format": "pt"})
        with (folder / file).open("wb") as out:
            out.write(len(head).to_bytes(8, "little") + head)
            for name in names:
                left = int(np.prod(tensors[name]))
                if name.startswith("model.layers.") and int(name.split(".")[2]) >= values:
                    out.truncate(out.tell() + 2 * left)
                    out.seek(0, 2)
                    continue
                at = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little") % POOL
                while left:
                    part = pool[at : at + left]
                    out.write(part.data)
                    left, at = left - len(part), 0
    total = sum(2 * int(np.prod(one)) for one in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
    (folder / "config.json").write_text(json.dumps(shape.config(), indent=2))


def asked_of(folder: Path, method: str, windows: int = 0) -> dict[str, Any]:
    """Settings of a pruning of the pair, measured on so many windows of 256 tokens, if on any."""
    text = str(write_text(folder))
    measured: dict[str, Any] = {"evaluation": text, "windows": windows, "window": 256} if windows else {}
    measured |= {"baselines": False, "cost": False}
    if method in ACTIVATIONS:
        spec = {"model": str(folder / "tuned"), "method": method, "keep": 0.5, "device": "cpu"}
        return spec | {"calibration": text, "sequences": 8, "window": 256} | measured
    spec = {"model": str(folder / "tuned"), "base": str(folder / "base"), "method": method, "device": "cpu"}
    return spec | ({"bits": 1.0} if method == "bytes" else {"keep": 0.5}) | measured


def write_text(folder: Path) -> Path:
    """Random words, and beside the tuned model a tokenizer that knows one token per word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    path, words = folder / "text.txt", 1000
    if not path.is_file():
        inside = Tokenizer(models.WordLevel({f"w{i}": i for i in range(words)}, unk_token="w0"))
        inside.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        PreTrainedTokenizerFast(tokenizer_object=inside, unk_token="w0", pad_token="w0").save_pretrained(
            folder / "tuned"
        )
        drawn = np.random.default_rng(0).integers(3, words, 40_000)
        path.write_text(" ".join(f"w{i}" for i in drawn), "utf-8")
    return path


def measure(folder: Path, method: str, memory: str | None, windows: int) -> dict[str, Any]:
    """Prune the pair once."""
    spec = asked_of(folder, method, windows)
    out = folder / f"run-{method}"
    shutil.rmtree(out, ignore_errors=True)
    room = None if method in ACTIVATIONS else memory
    command = [sys.executable, "-c", CHILD, str(ROOT), json.dumps(spec), str(out), json.dumps(room)]
    room_of_all = os.environ | ({} if memory is None else {"KENVIZ_MEMORY": memory})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=room_of_all)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def killed(folder: Path, method: str, memory: str | None, kills: int) -> str:
    """Prune the pair in processes that are killed, and compare the run with the one that `measure` left."""
    out, log, rng = folder / f"killed-{method}", folder / "killed.log", np.random.default_rng()
    shutil.rmtree(out, ignore_errors=True)
    log.unlink(missing_ok=True)
    given = [str(ROOT), json.dumps(asked_of(folder, method)), str(out), json.dumps(memory), str(log)]
    moments = sorted(rng.uniform(0.05, 0.95, kills))
    for moment in [*moments, 2.0]:
        process = subprocess.Popen([sys.executable, "-c", WATCHED, *given])
        while process.poll() is None and begun(log)[1] < moment:
            time.sleep(0.05)
        if process.poll() is None:
            time.sleep(rng.uniform(0, 1))
            process.kill()
        process.wait()
    names, _ = begun(log)
    same = [(folder / f"run-{method}" / one).read_bytes() == (out / one).read_bytes() for one in SAME]
    return (
        f"killed at {', '.join(f'{moment:.0%}' for moment in moments)}: {len(set(names))} matrices, "
        f"{len(names) - len(set(names))} begun again, files the same: {all(same)}"
    )


def begun(log: Path) -> tuple[list[str], float]:
    """Matrices that were begun, and the share of the work at the last one."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    return [name for name, _ in lines], lines[-1][1] if lines else 0.0


def plot(results: Path, image: Path) -> None:
    """CPU seconds and highest memory against the size of a side, from lines of ``--out``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines = [json.loads(line) for line in results.read_text("utf-8").splitlines()]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.8, 3.6), layout="constrained")
    for method, color in COLORS.items():
        found = sorted((one["gigabytes"], one["cpu"], one["peak"] / 1e6) for one in lines if one["method"] == method)
        if not found:
            continue
        sizes, cpu, peak = zip(*found, strict=True)
        left.plot(sizes, cpu, "o", color=color, label=method)
        pace = cpu[-1] / sizes[-1]
        left.plot([sizes[0], 14], [pace * sizes[0], pace * 14], lw=1, color=color)  # through the largest and nothing
        right.plot(sizes, peak, "-o", color=color, label=method)
    left.set(xscale="log", yscale="log", xlabel="GB of a side (bfloat16)", ylabel="CPU seconds, one thread")
    right.set(xscale="log", ylim=(0, None), xlabel="GB of a side (bfloat16)", ylabel="highest resident memory, MB")
    for one in (left, right):
        one.grid(alpha=0.3)
        one.legend()
    figure.savefig(image, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--like", choices=SHAPES, default="7b")
    parser.add_argument("--gigabytes", type=float)
    parser.add_argument("--halve", type=int, default=0, metavar="TIMES", help="halve the widths first")
    parser.add_argument("--values", type=int, default=10**6, help="blocks with numbers; all others are holes")
    parser.add_argument("--measure", nargs="*", default=(), metavar="METHOD")
    parser.add_argument("--memory", help="as for prune")
    parser.add_argument("--windows", type=int, default=0, metavar="N", help="measure perplexity too, on N windows")
    parser.add_argument("--kill", type=int, default=0, metavar="TIMES")
    parser.add_argument("--out", type=Path, help="a file that gets a line of JSON for each measurement")
    parser.add_argument("--plot", type=Path, metavar="IMAGE", help="draw the lines of --out, and measure nothing")
    asked = parser.parse_args()
    if asked.plot is not None and asked.out is None:
        parser.error("--plot draws the lines of --out")
    if asked.plot is not None:
        plot(asked.out, asked.plot)
        return
    if asked.folder is None:
        parser.error("name a folder for the pair")
    shape = SHAPES[asked.like]
    for _ in range(asked.halve):
        shape = halved(shape)
    if asked.gigabytes is not None:
        shape = fitted(shape, asked.gigabytes)
    folder = asked.folder.resolve()
    if not (folder / "tuned").is_dir():
        write_pair(folder, shape, asked.values)
    count = weights(shape)
    print(f"{folder}: {count / 1e9:.2f} billion weights, {2 * count / 1e9:.2f} GB each side, {shape.blocks} blocks")
    for method in asked.measure:
        found = measure(folder, method, asked.memory, asked.windows)
        print(
            f"{method:<10} peak {found['peak'] / 1e6:7,.0f} MB   {found['cpu']:7.1f} CPU s   "
            f"{found['cpu'] / count * 1e9:6.1f} CPU s per billion   {found['seconds']:6.1f} s   "
            f"{found['written'] / 1e6:,.0f} MB written",
            flush=True,
        )
        if asked.out is not None:
            line = {
                "method": method,
                "gigabytes": round(2 * count / 1e9, 2),
                "billions": round(count / 1e9, 2),
                **found,
            }
            with asked.out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")
        if asked.kill:
            print(killed(folder, method, asked.memory, asked.kill), flush=True)


if __name__ == "__main__":
    main()
