"""Small real runs for tests of whatever reads runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from kencore.allocate.budget import row_budget
from kencore.methods.random import row_generator
from kencore.methods.select import select_rows
from kencore.runs.measures import MatrixMeasures, row_measures
from kencore.runs.run import Run
from kencore.runs.writer import RunWriter
from tests.support.lm_runs import make_lm_run as make_lm_run

FILES = (
    "masks.safetensors",
    "values.safetensors",
    "codes.safetensors",
    "rows.parquet",
    "matrices.parquet",
    "spec.json",
)
"""Files of a run that say nothing of when and how fast it was made; not each run has all of them."""

HIDDEN, INNER, VOCABULARY, BLOCKS = 48, 96, 200, 4


def make_run(folder: Path, method: str = "ken", keep: float = 0.5) -> Run:
    """A run of a made-up BERT-like pair: 4 blocks of 48, inner 96, vocabulary 200."""
    tuned, base = _pair(folder / "pair")
    pair = {"tuned": tuned, "base": base}
    out = folder / f"{method}-{keep:g}"
    shapes = {
        name: values.shape if values.ndim == 2 else (1, *values.shape)
        for name, values in tuned.items()
        if not name.startswith("classifier")
    }
    lines: list[dict[str, Any]] = []
    with RunWriter(out, shapes) as writer:
        for name, values in tuned.items():
            line = _line(name, values)
            if name in shapes:
                new, old = values.reshape(shapes[name]), base[name].reshape(shapes[name])
                k = row_budget(new.shape[1], keep=keep)
                mask = select_rows(new, old, k, method, rng=row_generator(0, name), threads=1, name=name)
                writer.add_rows(name, mask)
                writer.add_table(name, [row_measures(new, old, mask)])
                measures = MatrixMeasures()
                measures.add(new, old, mask)
                line |= measures.columns() | {"k": k, "status": "pruned", "base_name": name}
                line["bytes_stored"] = int(line["kept"]) * 4 + line["params"] // 8
            line |= {f"{side}_sha256": _hash(w[name]) for side, w in pair.items()}
            lines.append(line)
        writer.add_matrices(lines)
        spec = {"model": str(folder / "pair/tuned"), "base": str(folder / "pair/base"), "method": method, "keep": keep}
        writer.add_json("spec.json", {"spec": spec, "versions": {}})
        sources = {side: {"text": str(folder / "pair" / side)} for side in ("tuned", "base")}
        record = {
            "created": "2026-11-21T00:00:00+00:00",
            "seconds": 1.0,
            "device": "cpu",
            "seconds_by_matrix": {},
            "notes": [],
            "sources": sources,
        }
        writer.add_json("record.json", record)
        writer.add_json("metrics.json", {})
        writer.finish()
    return Run(out)


def _pair(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    shapes: dict[str, tuple[int, ...]] = {
        "bert.embeddings.word_embeddings.weight": (VOCABULARY, HIDDEN),
        "bert.pooler.dense.weight": (HIDDEN, HIDDEN),
        "classifier.weight": (2, HIDDEN),
        "classifier.bias": (2,),
    }
    for block in range(BLOCKS):
        stem = f"bert.encoder.layer.{block}."
        for part in ("query", "key", "value"):
            shapes[f"{stem}attention.self.{part}.weight"] = (HIDDEN, HIDDEN)
            shapes[f"{stem}attention.self.{part}.bias"] = (HIDDEN,)
        shapes[f"{stem}attention.output.dense.weight"] = (HIDDEN, HIDDEN)
        shapes[f"{stem}intermediate.dense.weight"] = (INNER, HIDDEN)
        shapes[f"{stem}output.dense.weight"] = (HIDDEN, INNER)
        shapes[f"{stem}output.LayerNorm.weight"] = (HIDDEN,)
    base = {n: rng.normal(scale=0.05, size=s).astype(np.float32) for n, s in shapes.items()}
    tuned = {n: v + rng.normal(scale=0.005, size=v.shape).astype(np.float32) for n, v in base.items()}
    for side, tensors in (("tuned", tuned), ("base", base)):
        (folder / side).mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / side / "model.safetensors")
        config = {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}
        (folder / side / "config.json").write_text(json.dumps(config))
    return tuned, base


def _hash(values: np.ndarray) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


def _line(name: str, values: np.ndarray) -> dict[str, Any]:
    parts = name.split(".")
    block = int(parts[3]) if "layer" in parts else None
    roles = {
        "query": "q",
        "key": "k",
        "value": "v",
        "word_embeddings": "embedding",
        "pooler": "pooler",
        "classifier": "head",
        "LayerNorm": "norm",
    }
    role = next((role for word, role in roles.items() if word in parts), "")
    if not role:
        role = "o" if "attention" in parts else "up" if "intermediate" in parts else "down"
    if name.endswith("bias") and role not in ("norm", "head"):
        role = "bias"
    part = "attention" if "attention" in parts else "feed-forward" if block is not None else role
    rows, cols = values.shape if values.ndim == 2 else (1, *values.shape)
    return {
        "name": name,
        "base_name": None,
        "block": block,
        "stack": "blocks" if parts[1] == "encoder" else "",
        "role": role,
        "part": "norm" if role == "norm" else part,
        "shape": list(values.shape),
        "rows": rows,
        "cols": cols,
        "transposed": False,
        "dtype": "F32",
        "params": values.size,
        "status": "unprunable",
        "reason": "no base",
        "k": None,
        "tied": [],
        "kept": values.size,
        "bytes_dense": values.nbytes,
        "bytes_stored": values.nbytes,
    }
