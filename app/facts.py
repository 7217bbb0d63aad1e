"""What a run has to say about itself, in words: pure functions of its numbers."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from app import wording
from kencore.store.summaries import Totals

if TYPE_CHECKING:
    import pandas as pd

    from kencore.spec import PruneSpec


def headline(method: str, total: Totals, metrics: dict[str, Any]) -> str:
    """The run in one sentence: what was kept of how much, and what it cost."""
    name = wording.METHODS.get(method, method)
    text = (
        f"{name} keeps {wording.short_percent(total.share)} of {wording.count(total.params)} "
        "parameters"
    )
    if not metrics:
        return f"{text}; quality was not measured"
    before, after = metrics["dense"]["accuracy"], metrics["pruned"]["accuracy"]
    return f"{text}; accuracy {wording.percent(before)} → {wording.percent(after)}"


def points(change: float) -> str:
    """A change of a share in percentage points, with its sign."""
    return f"{100 * change:+.1f} points".replace("-", "−")


def interval(found: dict[str, Any]) -> str:
    """The 95 % interval of a measured accuracy, no finer than it is wide."""
    low, high = 100 * found["accuracy_low"], 100 * found["accuracy_high"]
    digits = 0 if high - low >= 4 else 1
    return f"{low:.{digits}f}–{high:.{digits}f}\u00a0%"


def best_baseline(metrics: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The measured rule with the highest accuracy at the same budget, if any was measured."""
    found = metrics.get("baselines") or {}
    if not found:
        return None
    best = max(found, key=lambda rule: found[rule]["accuracy"])
    return best, found[best]


def command(spec: PruneSpec) -> str:
    """The command line that makes this run again, over several lines."""
    parts = ["python -m kencore prune", f"--model {shlex.quote(spec.model)}"]
    if spec.base is not None and not (spec.model == "demo" and spec.base == "demo-base"):
        parts.append(f"--base {shlex.quote(spec.base)}")
    for option, revision in (
        ("--model-revision", spec.model_revision),
        ("--base-revision", spec.base_revision),
    ):
        if revision is not None:
            parts.append(f"{option} {shlex.quote(revision)}")
    parts.append(f"--method {spec.method}")
    parts.append(f"--k {spec.k}" if spec.keep is None else f"--keep {spec.keep!r}")
    if spec.scope != ("all",):
        parts += [f"--scope {shlex.quote(term)}" for term in spec.scope]
    parts += [
        f"--no-{name}" for name in ("embeddings", "vectors", "head") if not getattr(spec, name)
    ]
    if spec.evaluation is not None:
        parts.append(f"--evaluation {shlex.quote(spec.evaluation)}")
    if spec.baselines:
        parts.append("--baselines")
    if spec.seed:
        parts.append(f"--seed {spec.seed}")
    if spec.device != "auto":
        parts.append(f"--device {spec.device}")
    return " \\\n  ".join(parts)


def scope(spec: PruneSpec) -> str:
    """Where a run pruned, in words."""
    where = "everything" if spec.scope == ("all",) else " + ".join(spec.scope)
    left = [
        label
        for label, inside in (
            ("embeddings", spec.embeddings),
            ("norms and biases", spec.vectors),
            ("head", spec.head),
        )
        if not inside
    ]
    return where + (f", without {' and '.join(left)}" if left else "")


def matrices_csv(matrices: pd.DataFrame) -> bytes:
    """The whole table of parameters as UTF-8 CSV."""
    return matrices.to_csv(index=False).encode()


def subject(spec: PruneSpec) -> str:
    """What the run is about, in one line."""
    model = "Demo pair, a small sentiment classifier" if spec.model == "demo" else spec.model
    method = wording.METHODS.get(spec.method, spec.method)
    return f"{model} · {method} · {wording.budget(spec.keep, spec.k)} · pruned: {scope(spec)}"
