"""What the command line prints of measurements: quality, zero-shot tasks and cost."""

from __future__ import annotations

from typing import Any


def judged(facts: dict[str, Any]) -> str:
    """Quality of a run or of a model, and zero-shot tasks, whichever was measured."""
    lines = []
    if "dense" in facts:
        lines.append(quality(facts, facts.get("method")))
    elif {"perplexity", "accuracy", "similarity"} & set(facts):
        lines += [_line(facts.get("model", "model"), facts), *_notes(facts), *cost(facts.get("cost"))]
    if "zero_shot" in facts:
        lines += zero_shot(facts["zero_shot"])
    return "\n".join(lines)


def quality(metrics: dict[str, Any], method: str | None = None) -> str:
    """Quality of a run's models, one line each, the verdict, and its cost."""
    names = ("dense", "untuned", "pruned", "base")
    pruned = "recovered" if "untuned" in metrics else "pruned"
    rows = [(pruned if name == "pruned" else name, metrics[name]) for name in names if name in metrics]
    rows += list(metrics.get("baselines", {}).items())
    if metrics.get("task") == "language":
        count = metrics["windows"]
        head = (
            f"Perplexity on {count:,} window{'' if count == 1 else 's'} of {metrics['window']:,} "
            f"tokens of {metrics['data']}: dense {metrics['dense']['perplexity']:,.2f}, "
            f"{pruned} {metrics['pruned']['perplexity']:,.2f} (95 % interval):"
        )
    else:
        what = "Similarity of embeddings to the dense model's" if metrics.get("task") == "embedding" else "Quality"
        head = f"{what} on {metrics['examples']} examples of {metrics['data']} (95 % interval):"
    lines = [_line(name, measured) for name, measured in rows]
    lines += [] if method is None else _verdict(metrics, method)
    return "\n".join([head, *lines, *_notes(metrics), *cost(metrics.get("cost"))])


def _verdict(metrics: dict[str, Any], method: str) -> list[str]:
    from kencore.words.verdict import verdict

    found = verdict(metrics, method)
    return [] if found is None else [found.text]


def _notes(facts: dict[str, Any]) -> list[str]:
    """How the file was read, where that is not plain."""
    return [f"  note: {note}" for note in facts.get("data_notes", [])]


def _line(name: str, measured: dict[str, Any]) -> str:
    """One model; older runs lack some intervals."""
    if "perplexity" in measured:
        found = f"perplexity {measured['perplexity']:,.2f}"
        if "perplexity_low" in measured:
            found += f" ({measured['perplexity_low']:,.2f} to {measured['perplexity_high']:,.2f})"
        found += f"  {measured['nll']:.4f} nats per token, {measured['tokens']:,} tokens"
    elif "similarity" in measured:
        found = _share("similarity", measured)
    else:
        found = f"{_share('accuracy', measured)}  macro {_share('F1', measured, 'f1_macro')}"
    return f"  {name:<10} {found}{_versus(measured.get('versus_dense'))}"


def _share(label: str, measured: dict[str, Any], key: str | None = None) -> str:
    """A share with its interval, where there is one."""
    key = key or label
    found = f"{label} {measured[key]:.2%}"
    if f"{key}_low" in measured:
        found += f" ({measured[f'{key}_low']:.2%} to {measured[f'{key}_high']:.2%})"
    return found


def _versus(change: dict[str, Any] | None) -> str:
    """The change against the dense model on the same data."""
    if change is None:
        return ""
    if "nll_change" in change:
        found = f"; {change['nll_change']:+.4f} nats against dense"
        if "nll_change_low" in change:
            found += f" ({change['nll_change_low']:+.4f} to {change['nll_change_high']:+.4f})"
        return found + _answers(change)
    if "similarity_change" in change:
        return ""  # the similarity itself is to the dense model
    low, high = change["accuracy_change_low"], change["accuracy_change_high"]
    return (
        f"; {100 * change['accuracy_change']:+.1f} points against dense ({100 * low:+.1f} to "
        f"{100 * high:+.1f}), McNemar p {change['mcnemar_p']:.3g}"
    ) + _answers(change)


def _answers(change: dict[str, Any]) -> str:
    """How far the answers are from the dense model's, where they were compared."""
    if change.get("kl") is None:
        return ""
    return f"; {change['same_answer']:.1%} same answers, {change['kl']:.3g} nats apart"


def zero_shot(facts: dict[str, Any]) -> list[str]:
    """Each task before and after."""
    limit = "" if facts["limit"] is None else f", the first {_examples(facts['limit'])} of each"
    lines = [f"Zero-shot, lm-evaluation-harness {facts['harness']}{limit} (95 % interval):"]
    for task in facts["tasks"]:
        for state in ("dense", "pruned"):
            if state in facts:
                lines.append(_task(task, state, facts[state][task]))
    return lines


def _task(task: str, state: str, measured: dict[str, Any]) -> str:
    known = {"examples", "seconds", "versus_dense"}
    metrics = [name for name in measured if name not in known and not name.endswith(("_low", "_high"))]
    found = ", ".join(
        _share(name, measured) if f"{name}_low" in measured else f"{name} {measured[name]:.4g}" for name in metrics
    )
    size = f"{_examples(measured['examples'])}, {measured['seconds']:.1f} s"
    return f"  {task:<14} {state:<7} {found}  {size}{_versus(measured.get('versus_dense'))}"


def _examples(count: int) -> str:
    return f"{count:,} example{'' if count == 1 else 's'}"


def cost(facts: dict[str, Any] | None) -> list[str]:
    """What a model costs to keep and to run; nothing of a run that was not asked."""
    if not facts:
        return []
    count, size, flops = facts["parameters"], facts["bytes"], facts["flops"]
    held = f"  parameters {count['total']:,}"
    if "kept" in count:
        held += f"; {count['kept']:,} of {count['in_pruned_tensors']:,} in pruned tensors kept"
    disk = f"  on disk    {size['dense']:,} bytes"
    if "subnetwork" in size:
        disk += f" dense, {size['subnetwork']:,} as a subnetwork file"
    work = f"  operations {_large(flops['dense'])} for {flops['tokens']:,} tokens"
    if "effective" in flops:
        work += f" dense, {_large(flops['effective'])} effective ({flops['note']})"
    lines = [f"Cost on {facts['device']}:", held, disk, work]
    lines += [_timing(line, flops["tokens"]) for line in facts["latency"]]
    lines.append(_memory(facts["memory"]))
    return [*lines, *([f"  {facts['note']}"] if "note" in facts else [])]


def _large(number: int) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if number >= size:
            return f"{number / size:.3g} {unit}FLOP"
    return f"{number:,} FLOP"


def _timing(line: dict[str, Any], whole: int) -> str:
    parts = [
        f"{state} {_ms(line[state]['median'])} ms ({_ms(line[state]['low'])} to {_ms(line[state]['high'])})"
        for state in ("dense", "pruned")
        if state in line
    ]
    tokens = line.get("tokens", whole)
    short = "" if tokens == whole else f" of {tokens:,} tokens"
    return f"  a pass     batch {line['batch']:,}{short}: {', '.join(parts)} (median, quartiles)"


def _ms(seconds: float) -> str:
    """Milliseconds with three digits, or all before the point."""
    return f"{1e3 * seconds:.3g}" if seconds < 0.1 else f"{1e3 * seconds:,.0f}"


def _memory(memory: dict[str, Any]) -> str:
    if "reason" in memory:
        return f"  memory     {memory['reason']}"
    parts = [f"{state} {size:,} bytes" for state, size in memory.items()]
    return f"  memory     at most {', '.join(parts)}"
