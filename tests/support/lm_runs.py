"""A small made-up run of a language model, for tests of whatever reads runs. No torch.

# R rows (outputs), C columns (inputs), B blocks
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from kencore.runs.measures import MatrixMeasures, row_measures
from kencore.runs.run import Run
from kencore.runs.writer import RunWriter
from kencore.settings.prune import PruneSpec

HIDDEN, INNER, KEYS, VOCABULARY, BLOCKS = 32, 48, 16, 64, 4
LAMBDAS = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.25]
BLOCK_LAMBDA, ROW_LAMBDA, SLOPE = 0.08, 0.05, 0.02
ROLES = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "o",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
    "embed_tokens": "embedding",
    "lm_head": "head",
}
LOST = "set to zero it would be lost: name it in the scope to prune it"
Weights = dict[str, NDArray[np.float32]]


def make_lm_run(
    folder: Path,
    method: str = "wanda",
    allocation: str = "neuroal",
    keep: float = 0.3,
    seed: int = 0,
    *,
    step: str | None = None,
    refine: str = "none",
    measured: bool = True,
    dtype: str = "F16",
) -> Run:
    """A zero-restore run of a made-up LLaMA-like model: 4 blocks of 32, inner 48, vocabulary 64.

    Rows of one matrix differ in what they keep where the row step is asked for (``step`` is
    ``both`` by default with neuroal) and with sparsegpt, which also changes the kept values. The
    total is met to the entry.

    Args:
        method, allocation, keep, refine: of the spec; ``keep`` is the share kept overall.
        measured: write made-up perplexities; otherwise ``metrics.json`` is empty.
        dtype: of the checkpoint: ``F16`` or ``F32``.
    """
    weights = _model(folder / f"lm-{seed}", seed, np.float16 if dtype == "F16" else np.float32)
    if step is None:
        step = "both" if allocation == "neuroal" and method != "sparsegpt" else "block"
    spec = PruneSpec(
        model=str(folder / f"lm-{seed}"),
        method=method,
        allocation=allocation,
        keep=keep,
        seed=seed,
        step=step,
        refine=refine,
        sequences=16,
        evaluation="pydoc" if measured else None,
    )
    chosen = {name: values for name, values in weights.items() if _role(name) in ROW_ORDER}
    targets = _sparsities(chosen, spec)
    counts = _exact(chosen, targets, 1 - keep)
    out = folder / f"{method}-{allocation}-{keep:g}-{seed}"
    rng = np.random.default_rng(seed + 1)
    values = {n: (dtype, w.size - int(counts[n].sum())) for n, w in chosen.items()}
    changes = values if method == "sparsegpt" else None
    norms: Weights = {}
    lines = []
    with RunWriter(out, {n: w.shape for n, w in chosen.items()}, changes) as writer:
        for name, weight in weights.items():
            line = _line(name, weight, dtype)
            if name in chosen:
                dense = rng.lognormal(size=weight.shape[1]).astype(np.float32)
                sparse = (dense * rng.uniform(0.7, 1.0, len(dense))).astype(np.float32)
                norms |= {f"{name}.dense": dense, f"{name}.sparse": sparse}
                mask = _mask(np.abs(weight) * dense, counts[name], whole=changes is not None)
                line |= _written(writer, name, weight, mask, float(np.mean(targets[name])))
                if changes is not None:
                    moved = (weight[mask] * 1.25).astype(weight.dtype)
                    kind = np.float16 if dtype == "F16" else np.float32
                    writer.add_values(name, moved.astype(kind))
            lines.append(line)
        writer.add_matrices(lines)
        if spec.streams:  # the others look at no activations
            writer.add_activations(norms)
            writer.add_json("trace.json", _trace(spec, chosen, targets))
        _add_words(writer, spec, measured)
        writer.finish()
    return Run(out)


ROW_ORDER = ("q", "k", "v", "o", "gate", "up", "down")


def _written(
    writer: RunWriter, name: str, weight: NDArray[np.float32], mask: NDArray[np.bool_], share: float
) -> dict[str, Any]:
    zero = np.zeros_like(weight)
    writer.add_rows(name, mask)
    writer.add_table(name, [row_measures(weight, zero, mask)])
    measures = MatrixMeasures()
    measures.add(weight, zero, mask)
    kept = mask.sum(axis=1)
    columns = measures.columns()
    return columns | {
        "status": "pruned",
        "reason": "",
        "target_keep": 1 - share,
        "k": int(kept[0]) if (kept == kept[0]).all() else None,
        "bytes_stored": int(columns["kept"]) * 2 + weight.size // 8,
    }


def _model(folder: Path, seed: int, dtype: type[np.floating[Any]]) -> Weights:
    """Write the checkpoint; its weights as float32, in the order of the model."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for block in range(BLOCKS):
        stem = f"model.layers.{block}."
        for part, rows in (("q", HIDDEN), ("k", KEYS), ("v", KEYS), ("o", HIDDEN)):
            shapes[f"{stem}self_attn.{part}_proj.weight"] = (rows, HIDDEN)
        for part in ("gate", "up"):
            shapes[f"{stem}mlp.{part}_proj.weight"] = (INNER, HIDDEN)
        shapes[f"{stem}mlp.down_proj.weight"] = (HIDDEN, INNER)
        shapes[f"{stem}input_layernorm.weight"] = (HIDDEN,)
        shapes[f"{stem}post_attention_layernorm.weight"] = (HIDDEN,)
    shapes |= {"model.norm.weight": (HIDDEN,), "lm_head.weight": (VOCABULARY, HIDDEN)}
    stored = {n: rng.normal(scale=0.05, size=s).astype(dtype) for n, s in shapes.items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": BLOCKS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 128,
        "tie_word_embeddings": False,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return {name: values.astype(np.float32) for name, values in stored.items()}


def _role(name: str) -> str:
    words = name.split(".")
    return next((role for word, role in ROLES.items() if word in words), "norm")


def _block(name: str) -> int | None:
    words = name.split(".")
    return int(words[2]) if words[1] == "layers" else None


def _sparsities(chosen: Weights, spec: PruneSpec) -> dict[str, NDArray[np.float64]]:
    """One share per row (R,): a ramp over depth, and where the row step is on, one over rows."""
    assert spec.sparsity is not None
    spread = {"uniform": 0.0, "atp": SLOPE * (BLOCKS - 1) / 2}.get(spec.allocation, BLOCK_LAMBDA)
    if spec.step == "row":
        spread = 0.0
    ramp = spec.sparsity + np.linspace(-spread, spread, BLOCKS)  # B
    found = {}
    for name, weight in chosen.items():
        block = _block(name)
        assert block is not None
        rows = np.full(len(weight), ramp[block])
        if spec.step != "block" and _role(name) != "down" and block < BLOCKS - 1:
            rows += ROW_LAMBDA * np.cos(np.linspace(0, np.pi, len(weight)))  # sums to nought
        found[name] = np.clip(rows, 0.01, 0.99)
    return found


def _exact(chosen: Weights, targets: dict[str, NDArray[np.float64]], sparsity: float) -> dict[str, NDArray[np.int64]]:
    """Pruned entries of each row (R,); what rounding leaves goes to the largest remainders."""
    wide = np.concatenate([np.full(len(w), w.shape[1]) for w in chosen.values()])
    exact = np.concatenate([targets[name] for name in chosen]) * wide
    counts = np.floor(exact).astype(np.int64)
    left = int(sparsity * wide.sum() + 0.5) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[: max(0, left)]] += 1
    assert counts.sum() == int(sparsity * wide.sum() + 0.5)
    ends = np.cumsum([len(weight) for weight in chosen.values()])
    return dict(zip(chosen, np.split(counts, ends[:-1]), strict=True))


def _mask(score: NDArray[np.float32], pruned: NDArray[np.int64], *, whole: bool) -> NDArray[np.bool_]:
    """The lowest scores go, row by row, or over the whole matrix (R, C)."""
    if whole:
        rank = np.argsort(np.argsort(score, axis=None, kind="stable")).reshape(score.shape)
        return rank >= pruned.sum()
    rank = np.argsort(np.argsort(score, axis=1, kind="stable"), axis=1)
    return rank >= pruned[:, None]


def _line(name: str, weight: NDArray[np.float32], dtype: str) -> dict[str, Any]:
    role, block = _role(name), _block(name)
    part = {"embedding": "embedding", "head": "head", "norm": "norm"}.get(
        role, "attention" if "self_attn" in name else "feed-forward"
    )
    rows, cols = weight.shape if weight.ndim == 2 else (1, *weight.shape)
    stored = weight.astype(np.float16) if dtype == "F16" else weight
    return {
        "name": name,
        "base_name": None,
        "block": block,
        "stack": "" if block is None else "blocks",
        "role": role,
        "part": part,
        "shape": list(weight.shape),
        "rows": rows,
        "cols": cols,
        "transposed": False,
        "dtype": dtype,
        "params": weight.size,
        "status": "untouched",
        "reason": LOST,
        "k": None,
        "target_keep": None,
        "tied": [],
        "kept": weight.size,
        "bytes_dense": stored.nbytes,
        "bytes_stored": stored.nbytes,
        "base_sha256": None,
        "tuned_sha256": hashlib.sha256(stored.tobytes()).hexdigest(),
    }


def _trace(spec: PruneSpec, chosen: Weights, targets: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    shares = {name: float(np.mean(rows)) for name, rows in targets.items()}
    blocks = [
        {
            "block": b,
            "sparsity": shares[f"model.layers.{b}.self_attn.q_proj.weight"],
            "score": 0.02 + 0.01 * b if spec.allocation in ("owl", "alpha", "dlp") else None,
        }
        for b in range(BLOCKS)
    ]
    searched = spec.allocation in ("neuroal", "atp")
    block_search = row_search = None
    if spec.allocation == "neuroal" and spec.step != "row":
        block_search = _search(chosen, LAMBDAS, BLOCK_LAMBDA)
    if spec.allocation == "neuroal" and spec.step != "block":
        row_search = _search(chosen, [0.0, *LAMBDAS], ROW_LAMBDA)
    if spec.allocation == "atp":
        found = _search(chosen, [0.0, 0.01, SLOPE, 0.03], SLOPE)
        block_search = {"slopes": found["lambdas"], "losses": found["costs"], "chosen": SLOPE}
    return {
        "version": 1,
        "allocation": spec.allocation,
        "step": spec.step,
        "reference": spec.reference,
        "target_sparsity": spec.sparsity,
        "calibration": {
            "source": "pydoc",
            "sha256": "0" * 64,
            "seed": spec.seed,
            "sequences": 16,
            "search_sequences": 8,
            "window": 64,
        },
        "block_search": block_search,
        "row_search": row_search,
        "blocks": blocks,
        "matrices": {name: {"sparsity": share} for name, share in shares.items()},
        "seconds": {"capture": 0.5, "search": 2.0 if searched else 0.0, "prune": 0.75, "evaluate": 1.25},
        "forward_share": 0.9 if searched else None,
    }


def _search(chosen: Weights, lambdas: list[float], best: float) -> dict[str, Any]:
    """Costs that are least at ``best``, the largest part of them in o, as is usual."""
    costs = [1.0 + (lam - best) ** 2 for lam in lambdas]
    weights = {name: 5.0 if _role(name) == "o" else 1.0 for name in chosen}
    total = sum(weights.values())
    parts = {name: [cost * w / total for cost in costs] for name, w in weights.items()}
    return {"lambdas": lambdas, "costs": costs, "chosen": best, "matrix_costs": parts}


def _add_words(writer: RunWriter, spec: PruneSpec, measured: bool) -> None:
    asked = json.loads(spec.to_json())
    writer.add_json("spec.json", {"spec": asked, "versions": {}})
    record = {
        "created": "2026-11-22T00:00:00+00:00",
        "seconds": 4.5,
        "device": "cpu",
        "seconds_by_matrix": {},
        "notes": [],
        "sources": {"tuned": {"text": spec.model, "revision": None}, "base": None},
    }
    writer.add_json("record.json", record)
    baselines = {"random": 950.0, "magnitude": 61.0, "wanda": 44.0, "uniform": 45.5}
    baselines.pop(spec.method, None)
    metrics = {
        "task": "language",
        "data": "pydoc",
        "data_sha256": "1" * 64,
        "window": 64,
        "windows": 50,
        "tokens": 50 * 63,
        "device": "cpu",
        "dense": _quality(24.0),
        "pruned": _quality(42.0),
        "baselines": {n: _quality(p) for n, p in baselines.items()},
    }
    writer.add_json("metrics.json", metrics if measured else {})


def _quality(perplexity: float) -> dict[str, Any]:
    return {
        "perplexity": perplexity,
        "nll": float(np.log(perplexity)),
        "seconds": 0.2,
        "tokens": 50 * 63,
        "windows": 50,
        "window": 64,
    }
