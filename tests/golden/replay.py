"""Replay recorded outputs of the published code: searches, distributions and masks.

    python tests/golden/replay.py FOLDER              # every case in it
    python tests/golden/replay.py FOLDER --only opt   # those whose name contains a word

FOLDER holds cases, MODEL__SCORE__ALLOCATION__sNN.npz, and models/MODEL beside them. Each case is
searched on its first 8 sequences in published mode, then pruned from the recorded distribution on
all of them. One line per case; exit status 1 if one misses.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from kencore.allocate.budget import published_counts
from kencore.allocate.slot import Slot, Sparsities
from kencore.checkpoint.layout import read_layout
from kencore.models.blocks import BlockModel, Streams, capture
from kencore.pruning.blocks import prune_blocks
from kencore.pruning.rule import Count, Rule
from kencore.pruning.search.allocate import AllocationSettings, allocate
from kencore.pruning.search.neuroal import block_candidate, search_rows
from kencore.pruning.search.session import Session

SEARCH_SEQUENCES = 8
COSTS = 1e-3  # relative, per lambda
SHARES = 1e-3  # of a row or a matrix
SPARSEGPT_BITS = 0.998
WEIGHTS = 0.02  # of a row's norm, for SparseGPT
FIRST_ROWS = 16
EAGER = frozenset({"opt", "phi"})
"""Recorded without fused attention, which the transformers of then had not for these models: its
rounding differs, and SparseGPT's Hessians multiply that."""


@dataclass
class Result:
    """What one case came to; ``misses`` is empty where all agrees."""

    name: str
    misses: list[str] = field(default_factory=list)
    lambdas: list[str] = field(default_factory=list)
    cost: float | None = None
    share: float | None = None
    equal: float = 0.0
    sparsity: float = 0.0
    seconds: float = 0.0

    def check(self, good: bool, miss: str) -> None:
        if not good:
            self.misses.append(miss)

    def line(self) -> str:
        cost = "-" if self.cost is None else f"{self.cost:.1e}"
        share = "-" if self.share is None else f"{self.share:.1e}"
        verdict = "ok" if not self.misses else "MISS: " + "; ".join(self.misses)
        return (
            f"{self.name:44} {' '.join(self.lambdas) or '-':28} cost {cost:8} share {share:8} "
            f"masks {100 * self.equal:8.4f} % sparsity {self.sparsity:.5f} {self.seconds:5.1f} s  "
            f"{verdict}"
        )


class Models:
    """The models of a folder, each loaded once; weights come back after every case."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.other_attention = False
        self._loaded: dict[tuple[str, bool], tuple[BlockModel, dict[str, Tensor]]] = {}
        self._streams: dict[Any, Streams] = {}

    def open(self, name: str) -> BlockModel:
        """The model as it was saved, in float32."""
        key = (name, self.other_attention)
        if key not in self._loaded:
            from transformers import AutoModelForCausalLM

            path = self.folder / "models" / name
            layout = read_layout(path)
            eager = (layout.model_type in EAGER) != self.other_attention
            model = AutoModelForCausalLM.from_pretrained(
                path, dtype=torch.float32, attn_implementation="eager" if eager else "sdpa"
            )
            blocks = BlockModel(model.eval(), layout)
            own = {slot.name: blocks.weight(slot.name).clone() for slot in blocks.slots}
            self._loaded = {key: (blocks, own)}  # cases are sorted by model: one is enough
            self._streams = {}
        blocks, own = self._loaded[key]
        for slot, weight in own.items():
            blocks.set_weight(slot, weight)
        return blocks

    def streams(self, name: str, ids: Tensor) -> Streams:
        """The streams of the unpruned model, captured once per text."""
        key = (name, self.other_attention, ids.numpy().tobytes())
        if key not in self._streams:
            self._streams[key] = capture(self.open(name), ids)
        return self._streams[key]


class Case:
    """One recorded file."""

    def __init__(self, path: Path, models: Models) -> None:
        self.path, self.models = path, models
        with np.load(path) as recorded:
            self.data = {key: recorded[key] for key in recorded.files}
        self.meta: dict[str, Any] = json.loads(bytes(self.data["meta"]))
        self.sparsity = float(self.data["sparsity"])
        self.method: str = self.meta["prune_method"]
        self.model = models.open(self.meta["model"])
        self.slots = [self._slot(layer) for layer in self.meta["layers"]]
        self.ids = torch.from_numpy(self.data["calib_ids"].astype(np.int64))
        self.rows_apart = self.meta["granularity"] == "neuron"

    def _slot(self, layer: str) -> Slot:
        """The slot of a recorded layer, ``module-block``."""
        module, block = layer.rsplit("-", 1)
        wanted = self.model.blocks[int(block)].get_submodule(module)
        return next(slot for slot in self.model.slots if self.model.linear(slot.name).module is wanted)

    def streams(self, sequences: int | None = None) -> Streams:
        return self.models.streams(self.meta["model"], self.ids[:sequences])

    def per_slot(self, key: str, lengths: list[int]) -> Iterator[tuple[Slot, np.ndarray]]:
        """A recorded array cut into its layers."""
        ends = np.cumsum(lengths)
        assert ends[-1] == len(self.data[key]), f"{key} does not fit its layers"
        yield from zip(self.slots, np.split(self.data[key], ends[:-1]), strict=True)

    def distribution(self) -> tuple[Sparsities, frozenset[str]]:
        """Recorded shares by slot, and which of them were Python floats by clipping."""
        if "dist_row" in self.data:
            shares: Sparsities = {}
            kinds = dict(zip(self.slots, self.meta["dist_type"], strict=True))
            for slot, rows in self.per_slot("dist_row", self.meta["dist_len"]):
                even = kinds[slot] == "list"
                shares[slot.name] = float(rows[0]) if even else rows[: slot.rows]
        elif "dist_layer" in self.data:
            values = self.data["dist_layer"]
            shares = {s.name: float(v) for s, v in zip(self.slots, values, strict=True)}
        else:
            shares = {slot.name: self.sparsity for slot in self.slots}
        clipped = (name for name, v in shares.items() if np.ndim(v) == 0 and v in (0.01, 0.99))
        return shares, frozenset(clipped)


def replay(path: Path, models: Models) -> Result:
    """Replay one file; whatever goes wrong is a miss.

    Files do not say how attention was computed, and its last bits decide near-ties: a case that
    misses is tried with the other way, and its name says so where that one agrees.
    """
    models.other_attention = False
    result = _replay(path, models)
    if result.misses:
        models.other_attention = True
        again = _replay(path, models)
        models.other_attention = False
        if not again.misses:
            again.name += " (other attention)"
            return again
    return result


def _replay(path: Path, models: Models) -> Result:
    result, start = Result(path.stem), time.perf_counter()
    try:
        case = Case(path, models)
        _search(case, result)
        _prune(case, result)
    except Exception as error:  # noqa: BLE001 - a broken case must not stop the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = " ".join(str(error).split())[:200]
        result.misses.append(f"{type(error).__name__}: {text} ({Path(where.filename).name}:{where.lineno})")
    result.seconds = time.perf_counter() - start
    return result


def _search(case: Case, result: Result) -> None:
    """Choose the distribution anew and compare it with the recorded one."""
    kind = case.meta["top_up"]
    if kind not in ("neuroal", "owl", "alpha"):
        return
    settings = AllocationSettings(
        allocation=kind, sparsity=case.sparsity, step=case.meta["step"] or "block", published=True
    )
    rule = Rule(method=case.method, published=True)
    streams = case.streams(SEARCH_SEQUENCES if kind == "neuroal" else None)
    found = allocate(case.model, streams, rule, settings)
    same, shares = True, found.sparsities
    if kind == "neuroal":
        block, row = found.trace["block_search"], found.trace["row_search"]
        if block:
            same = _compare(case, result, "block", block)
            if row and not same:
                row, shares = _rows_from_recorded(case, rule, settings)
        if row:
            same = _compare(case, result, "row", row)
    if same:
        _compare_shares(case, result, shares)


def _rows_from_recorded(case: Case, rule: Rule, settings: AllocationSettings) -> tuple[dict[str, Any], Sparsities]:
    """The row step from the recorded lambda of the block step."""
    session = Session(case.model, case.streams(SEARCH_SEQUENCES), rule, settings)
    start = block_candidate(session, case.meta["lambda_block"])
    outcome = session.measure(start.sparsities, clipped=start.clipped)
    best, _, record = search_rows(session, start, outcome)
    return record, best.sparsities


def _compare(case: Case, result: Result, step: str, record: Mapping[str, Any]) -> bool:
    """Costs per lambda and the choice; whether the very same lambda was chosen."""
    recorded, costs = case.data[f"{step}_scores"], np.array(record["costs"])
    lambdas, wanted = case.meta[f"{step}_lambdas"], case.meta[f"lambda_{step}"]
    if list(record["lambdas"]) != list(lambdas):
        result.misses.append(f"{step} lambdas {record['lambdas']}")
        return False
    off = float(np.max(np.abs(costs - recorded) / np.abs(recorded)))
    result.cost = max(off, result.cost or 0.0)
    result.check(off <= COSTS, f"{step} cost off by {off:.1e}")
    chosen = record["chosen"]
    sign = "=" if chosen == wanted else "~"
    result.lambdas.append(f"{step} {chosen:g}{sign}{wanted:g}")
    near = recorded[lambdas.index(chosen)] <= recorded.min() * (1 + COSTS)
    result.check(chosen == wanted or bool(near), f"{step} lambda {chosen:g}, wanted {wanted:g}")
    return bool(chosen == wanted)


def _compare_shares(case: Case, result: Result, shares: Sparsities) -> None:
    recorded, _ = case.distribution()
    far = max(float(np.max(np.abs(shares[name] - own))) for name, own in recorded.items())
    result.share = far
    result.check(far <= SHARES, f"a share off by {far:.1e}")


def _prune(case: Case, result: Result) -> None:
    """Prune from the recorded distribution and compare the masks."""
    refine = "dsnot" if case.meta["top_up"] == "DSnoT" else "none"
    rule = Rule(method=case.method, refine=refine, published=True)
    shares, clipped = case.distribution()
    counts: dict[str, Count]
    if case.method == "sparsegpt" and refine == "none":
        counts = {name: float(share) for name, share in shares.items()}  # type: ignore[arg-type]
    else:
        counts = dict(published_counts(case.slots, shares, row_adaptive=case.rows_apart, clipped=clipped))
    if case.rows_apart:
        rule = Rule(method=rule.method, published=True, ties="kept")
    streams = case.streams()
    case.models.open(case.meta["model"])
    gone, weights = {}, {}
    for pruned in prune_blocks(case.model, streams, rule, counts, norms=False):
        gone[pruned.slot.name] = ~pruned.keep.numpy()
        weights[pruned.slot.name] = pruned.weight.numpy()
    exact = case.method != "sparsegpt"
    _compare_masks(case, result, gone, exact=exact)
    if "weights_first2rows" in case.data:
        _compare_weights(case, result, weights)


def _compare_masks(case: Case, result: Result, gone: dict[str, np.ndarray], *, exact: bool) -> None:
    packed = {name: np.packbits(mask, axis=1) for name, mask in gone.items()}
    full = "masks" in case.data
    key = "masks" if full else "mask_first16rows"
    lengths = [(s.rows if full else min(FIRST_ROWS, s.rows)) * -(-s.cols // 8) for s in case.slots]
    same = bits = 0
    for slot, recorded in case.per_slot(key, lengths):
        rows = recorded.reshape(-1, -(-slot.cols // 8))
        own = packed[slot.name][: len(rows)]
        same += own.size * 8 - int(np.bitwise_count(own ^ rows).sum())
        bits += own.size * 8
    result.equal = same / bits
    total = sum(slot.size for slot in case.slots)
    result.sparsity = sum(int(mask.sum()) for mask in gone.values()) / total
    near = abs(result.sparsity - float(case.data["actual_sparsity"]))
    if not exact:
        result.check(result.equal >= SPARSEGPT_BITS, f"{100 * result.equal:.3f} % of the bits")
        result.check(near <= 1 - SPARSEGPT_BITS, f"sparsity off by {near:.1e}")
        return
    result.check(result.equal == 1.0, f"{bits - same} bits of {bits}")
    result.check(near <= 1e-9, f"sparsity off by {near:.1e}")
    hashes = [hashlib.sha256(packed[slot.name].tobytes()).hexdigest() for slot in case.slots]
    wrong = [a != b for a, b in zip(hashes, case.meta["sha256"], strict=True)]
    result.check(not any(wrong), f"{sum(wrong)} of {len(wrong)} hashes")
    own_counts = np.concatenate([gone[slot.name].sum(axis=1) for slot in case.slots])
    result.check(np.array_equal(own_counts, case.data["rowcounts"]), "entries per row")


def _compare_weights(case: Case, result: Result, weights: dict[str, np.ndarray]) -> None:
    """The first two rows of each layer. Where a row's mask differs, what the flipped entry leaves
    behind is in all later columns: rows of equal masks are compared, and there must be some."""
    lengths = [2 * slot.cols for slot in case.slots]
    worst, compared = 0.0, 0
    for slot, recorded in case.per_slot("weights_first2rows", lengths):
        for own, row in zip(weights[slot.name][:2], recorded.reshape(2, -1), strict=True):
            if np.array_equal(own == 0, row == 0):
                worst = max(worst, float(np.linalg.norm(own - row) / np.linalg.norm(row)))
                compared += 1
    result.check(compared >= len(case.slots) / 2, f"only {compared} rows of equal masks")
    result.check(worst <= WEIGHTS, f"a row's weights off by {worst:.1e}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    files = sorted(options.folder.glob("*__*__*__s*.npz"))
    files = [path for path in files if options.only in path.stem]
    models, missed = Models(options.folder), 0
    for path in files:
        result = replay(path, models)
        missed += bool(result.misses)
        print(result.line(), flush=True)
    print(f"{len(files) - missed} of {len(files)} cases agree")
    return 1 if missed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
