"""What the JSON files of a run hold, as far as anybody relies on it: checked once, when the run is opened.

Names that are not listed may hold anything, and any may be missing or null, but for what `check_metrics` asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kencore.system.plain_json import fits

LEAST_PERPLEXITY: Final = 1  # of a model that is always sure, and right
NUMBERS: Final = {...: float}
WORDS: Final = {...: str}
_ENDS = ("", "_low", "_high")
_MEASURES = ("accuracy", "similarity", "perplexity", "f1_binary", "f1_macro", "f1_weighted", "loss", "nll", "guess")
FIGURES: Final = {f"{name}{end}": float for name in _MEASURES for end in _ENDS} | {
    "seconds": float,
    **dict.fromkeys(("examples", "tokens", "window", "windows"), int),
    **dict.fromkeys(("versus_dense", "versus_pruned"), NUMBERS),
}
_SPREAD = {"low": float, "median": float, "high": float, "repeats": int}
COST: Final = {
    "bytes": {"dense": int, "subnetwork": int},
    "flops": {"dense": float, "effective": float, "tokens": int, "tokens_from": str, "note": str},
    "latency": [{"batch": int, "tokens": int, "dense": _SPREAD, "pruned": _SPREAD}],
    "memory": {"reason": str, ...: (float, str)},
    "semi_structured": {"available": bool, "reason": str},
    "parameters": {...: int},
    "seconds": float,
    **dict.fromkeys(("device", "note"), str),
}
METRICS: Final[dict[Any, Any]] = {
    **dict.fromkeys(("dense", "base", "pruned", "untuned"), FIGURES),
    "baselines": {...: FIGURES},
    "cost": COST,
    "zero_shot": {
        **dict.fromkeys(("harness", "device"), str),
        "tasks": [str],
        "limit": float,
        ...: {...: {...: (float, str, dict)}},
    },
    "outcomes": {"right": str, "examples": int, "nll": [float], "similarity": [float]},
    "data_notes": [str],
    **dict.fromkeys(("data", "data_sha256", "device", "task"), str),
    **dict.fromkeys(("examples", "tokens", "window", "windows"), int),
}
SOURCE: Final = {"text": str, "revision": str, "folder": str}
RECORD: Final = {
    **dict.fromkeys(("created", "device", "sweep", "owner"), str),
    "seconds": float,
    "seconds_by_matrix": NUMBERS,
    "notes": [str],
    "sources": {"tuned": SOURCE, "base": SOURCE},
    "common_rows": {...: int},
    "totals": {...: int},
    "tuned": {"from": str, "steps": int, "best_step": int},
    "ordered": {"by": str, "bits": float, "kl": NUMBERS, "fresh": bool},
    "subnetwork_bytes": int,
}
SPEC: Final = {"spec": dict, "versions": WORDS, "architecture": str}
_SEARCH = {"lambdas": [float], "costs": [float], "chosen": float, "matrix_costs": {...: [float]}, "rough": list}
TRACE: Final = {
    **dict.fromkeys(("allocation", "reference"), str),
    **dict.fromkeys(("block_search", "row_search"), _SEARCH),
    "blocks": [{"block": int, "sparsity": float, "score": float}],
    "calibration": {"offsets": [int], "source": str, "sha256": str, ...: (float, str, list)},
    "matrices": {...: {"sparsity": float}},
    "dead": list,
    "seconds": NUMBERS,
    "forward_share": float,
}
TUNING: Final = {
    **dict.fromkeys(("asked", "spec"), dict),
    "parent": WORDS,
    "curve": [{...: float}],
    "gap": {...: {"train": FIGURES, "held_out": FIGURES, ...: (float, dict)}},
    "seconds": NUMBERS,
    "versions": WORDS,
    "notes": [str],
    **dict.fromkeys(("task", "device"), str),
    **dict.fromkeys(("steps", "steps_asked", "steps_of_an_epoch", "best_step", "trained"), int),
    "stopped_early": bool,
    "best_held_out_loss": float,
}
FORMS: Final[dict[str, Any]] = {
    "spec.json": SPEC,
    "record.json": RECORD,
    "metrics.json": METRICS,
    "trace.json": TRACE,
    "tuning.json": TUNING,
}


FACTS: Final = {
    **dict.fromkeys(("task", "data", "data_sha256"), str),
    **dict.fromkeys(("window", "windows"), int),
    **dict.fromkeys(("count", "right_wrong", "wrong_right", "changed", "dense_right", "pruned_right"), int),
    **dict.fromkeys(("kl", "nll_change"), float),
    "baselines": [str],
}


def misfit(form: Any, found: Mapping[str, Any], where: str = "") -> str:
    """The first name of an object whose value is not of its form, such as ``dense.accuracy``; "" where all fit."""
    for name, value in found.items():
        inner = form.get(name, form.get(...))
        if value is None or inner is None or fits(value, inner):
            continue
        path = f"{where}{name}"
        nested = misfit(inner, value, f"{path}.") if isinstance(inner, Mapping) and isinstance(value, dict) else ""
        return nested or path
    return ""


def unmeasured(metrics: Mapping[str, Any]) -> str:
    """What is missing of figures that are there, or cannot be: what a model is judged by; "" where nothing is.

    Args:
        metrics: of the form `METRICS`.
    """
    sides = {name: metrics[name] for name in ("dense", "base", "pruned", "untuned") if metrics.get(name)}
    if not sides:
        return ""
    for name in ("dense", "pruned"):
        if name not in sides:
            return name
    task = metrics.get("task")
    wanted = {"language": ("perplexity", "nll", "window", "windows"), "embedding": ("similarity",)}.get(
        str(task), ("accuracy",)
    )
    sides |= {f"baselines.{name}": figures or {} for name, figures in (metrics.get("baselines") or {}).items()}
    for side, figures in sides.items():
        pairs = [("", figures), *((f"{name}.", figures.get(name) or {}) for name in ("versus_dense", "versus_pruned"))]
        halves = [f"{name}{half}" for name, found in pairs for half in _halves(found)]
        halves += [f"{name}{empty}" for name, found in pairs[1:] for empty in found if found[empty] is None]
        for name in (*(name for name in wanted if figures.get(name) is None), *halves):
            return f"{side}.{name}"
        if figures.get("perplexity", LEAST_PERPLEXITY) < LEAST_PERPLEXITY:
            return f"{side}.perplexity of {LEAST_PERPLEXITY} or more"
    return "" if isinstance(metrics.get("data"), str) else "data"


def _halves(figures: Mapping[str, Any]) -> list[str]:
    """Of intervals that are there in part, what is missing."""
    stems = {name.rpartition("_")[0] for name in figures if name.endswith(_ENDS[1:])}
    names = (f"{stem}{end}" for stem in sorted(stems) for end in _ENDS)
    return [name for name in names if figures.get(name) is None]
