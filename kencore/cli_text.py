"""What the command line prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kencore.store.run import Run


def run_facts(run: Run) -> dict[str, Any]:
    """The facts of a run as plain values."""
    totals = run.totals
    return {
        "run": run.id,
        "folder": str(run.path.resolve()),
        "method": run.spec.method,
        "matrices_pruned": len(run.pruned),
        **totals,
        "kept_share_of_pruned": totals["kept"] / totals["pruned"],
        "reset_share_of_model": totals["reset"] / totals["params"],
        "seconds": run.record.get("seconds"),
        "device": run.record.get("device"),
        "notes": run.record.get("notes", []),
        "metrics": run.metrics,
    }


def pruned(facts: dict[str, Any]) -> str:
    """What `prune` did."""
    lines = [
        f"Kept {facts['kept']:,} of {facts['pruned']:,} values in {facts['matrices_pruned']} "
        f"tensors ({facts['kept_share_of_pruned']:.2%}).",
        f"Back to the base: {facts['reset']:,} of the model's {facts['params']:,} parameters "
        f"({facts['reset_share_of_model']:.2%}).",
        f"Stored as kept values and bits: {facts['bytes_stored']:,} bytes, "
        f"dense {facts['bytes_dense']:,}.",
        f"{facts['seconds']:.1f} s on {facts['device']}. Run: {facts['folder']}",
    ]
    lines[3:3] = [f"Note: {note}" for note in facts["notes"]]
    if facts["metrics"]:
        lines.append(_quality(facts["metrics"]))
    return "\n".join(lines)


def judged(facts: dict[str, Any]) -> str:
    """Quality of a run or of a model."""
    return _quality(facts) if "dense" in facts else _line(facts.get("model", "model"), facts)


def _quality(metrics: dict[str, Any]) -> str:
    rows = [(name, metrics[name]) for name in ("dense", "pruned", "base")]
    rows += list(metrics.get("baselines", {}).items())
    head = f"Quality on {metrics['examples']} examples of {metrics['data']} (95 % interval):"
    return "\n".join([head, *(_line(name, quality) for name, quality in rows)])


def _line(name: str, quality: dict[str, Any]) -> str:
    return (
        f"  {name:<10} accuracy {quality['accuracy']:.2%} "
        f"({quality['accuracy_low']:.2%} to {quality['accuracy_high']:.2%})  "
        f"macro F1 {quality['f1_macro']:.2%}"
    )


def runs(facts: dict[str, Any]) -> str:
    """The list of runs."""
    if not facts["runs"]:
        return "No runs yet."
    lines = []
    for run in facts["runs"]:
        problem = f"  [broken: {run['problem']}]" if run["problem"] else ""
        lines.append(f"{run['id']:<28} {run['created'][:19]:<20} {run['label']}{problem}")
    return "\n".join(lines)


def inspected(facts: dict[str, Any]) -> str:
    """What `inspect` found, as lines of text."""
    return "\n".join(_outline(facts, 0))


def _outline(value: Any, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(value, dict):
        lines = []
        for key, inner in value.items():
            name = str(key).replace("_", " ")
            if isinstance(inner, (dict, list)) and inner:
                lines += [f"{pad}{name}:", *_outline(inner, depth + 1)]
            else:
                lines.append(f"{pad}{name}: {_plain(inner)}")
        return lines
    if isinstance(value, list):
        lines = []
        for inner in value[:40]:
            if isinstance(inner, dict):
                lines.append(pad + ", ".join(f"{k} {_plain(v)}" for k, v in inner.items()))
            else:
                lines.append(pad + _plain(inner))
        return lines + ([f"{pad}... and {len(value) - 40} more"] if len(value) > 40 else [])
    return [pad + _plain(value)]


def _plain(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
