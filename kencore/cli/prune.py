"""What the command line prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kencore.cli.evaluate import quality
from kencore.methods.table import METHODS
from kencore.words import numbers as wording
from kencore.words.orders import ordered

if TYPE_CHECKING:
    from kencore.runs.run import Run


def run_facts(run: Run) -> dict[str, Any]:
    """The facts of a run as plain values."""
    totals = run.totals
    return {
        "run": run.id,
        "folder": str(run.path.resolve()),
        "method": run.spec.method,
        "restore": run.restore,
        "matrices_pruned": len(run.pruned),
        **totals,
        "kept_share_of_pruned": totals["kept"] / totals["pruned"],
        "reset_share_of_model": totals["reset"] / totals["params"],
        "share_in_play": totals["pruned"] / totals["params"],
        "allocation": _allocation(run),
        "ordered": ordered(run),
        "seconds": run.record.get("seconds"),
        "device": run.record.get("device"),
        "notes": run.record.get("notes", []),
        "metrics": run.metrics,
    }


def _allocation(run: Run) -> dict[str, Any] | None:
    """How sparsity was shared out, and what a search chose; ``None`` without activations."""
    trace = run.trace
    if trace is None:
        return None
    return {
        "name": trace["allocation"],
        "step": trace.get("step"),
        "refine": run.spec.refine,
        "chosen": {
            f"{step} {'slope' if 'slopes' in found else 'lambda'}": found["chosen"]
            for step in ("block", "row")
            if (found := trace.get(f"{step}_search"))
        },
        "block_sparsity": [block["sparsity"] for block in trace["blocks"]],
    }


def pruned(facts: dict[str, Any]) -> str:
    """What `prune` did."""
    coded = METHODS[facts["method"]].coded
    back = "At the base value" if coded else "Set to zero" if facts["restore"] == "zero" else "Back to the base"
    done, stored = ("Changed", "coded changes") if coded else ("Kept", "kept values and bits")
    lines = [
        f"{done} {facts['kept']:,} of {facts['pruned']:,} values in {facts['matrices_pruned']} "
        f"tensors ({facts['kept_share_of_pruned']:.2%}).",
        f"{back}: {facts['reset']:,} of the model's {facts['params']:,} parameters "
        f"({facts['reset_share_of_model']:.2%}).",
    ]
    lines.append(f"In play were {facts['pruned']:,} of these parameters ({facts['share_in_play']:.1%}).")
    if facts["allocation"]:
        lines.append(_shared_out(facts["allocation"]))
    lines.append(f"Stored as {stored}: {facts['bytes_stored']:,} bytes, dense {facts['bytes_dense']:,}.")
    lines += [facts["ordered"]] if facts["ordered"] else []
    lines += [f"Note: {note}" for note in facts["notes"]]
    lines.append(f"{facts['seconds']:.1f} s on {facts['device']}. Run: {facts['folder']}")
    if facts["metrics"]:
        lines.append(quality(facts["metrics"], facts["method"]))
    return "\n".join(lines)


def _shared_out(allocation: dict[str, Any]) -> str:
    words = [allocation["name"], *([allocation["step"]] if allocation["step"] else [])]
    words += [f"{name} {value:g}" for name, value in allocation["chosen"].items()]
    words += [allocation["refine"]] if allocation["refine"] != "none" else []
    line = f"Allocation: {', '.join(words)}."
    shares = allocation["block_sparsity"]
    if shares:
        low, high = min(shares), max(shares)
        spread = f"{low:.1%}" if f"{low:.1%}" == f"{high:.1%}" else f"{low:.1%} to {high:.1%}"
        line += f" Sparsity of the {_count(len(shares), 'block')}: {spread}."
    return line


def converted(facts: dict[str, Any]) -> str:
    """What `convert` did."""
    lines = [
        f"Wrote {facts['folder']}: {facts['parameters']:,} weights as {facts['dtype']}, "
        f"{facts['unpacked']:,} of them unpacked from {facts['format']}."
    ]
    if facts["rounded"]:
        lines.append(f"{facts['rounded']:,} were rounded, by {facts['largest_change']:.2%} at most.")
    return "\n".join(lines + [f"Note: {note}" for note in facts["notes"]])


def inspected(facts: dict[str, Any]) -> str:
    """What `inspect` found."""
    counts, guess = facts["parameters"], facts["estimate"]
    lines = [
        f"{facts['architecture']} ({facts['model_type']}), {facts['blocks']} blocks, "
        f"{counts['total']:,} parameters in {counts['tensors']:,} tensors, "
        f"{facts['bytes']:,} bytes in {_count(len(facts['shards']), 'file')}",
        f"model {_source(facts['model'])}",
    ]
    if facts["base"]:
        lines.append(f"base  {_source(facts['base'])}")
    lines.append(_task(facts))
    dtypes = ", ".join(f"{d['parameters']:,} in {d['name']}" for d in facts["dtypes"])
    lines += [f"dtypes: {dtypes}", "", f"{'role':<10}{'tensors':>9}{'parameters':>16}{'prunable':>16}"]
    lines += [
        f"{role['name']:<10}{role['tensors']:>9,}{role['parameters']:>16,}{role['prunable']:>16,}"
        for role in facts["roles"]
    ]
    lines += ["", "matrices and vectors:"]
    for kind in facts["patterns"]:
        shape = " x ".join(f"{side:,}" for side in kind["shape"])
        lines.append(f"  {kind['tensors']:>4} x {kind['pattern']}  ({kind['role']}, {shape})")
    lines += ["", *_listed("cannot be pruned", facts["unprunable"])]
    lines += [f"tied, counted once: {' = '.join(_names(tied))}" for tied in facts["tied"]]
    lines += [f"note: {note}" for note in facts["notes"]]
    if data := facts.get("data"):
        lines += [f"data {data['data']}: {note}" for note in data["notes"]]
        lines += [f"data cannot be used: {data['problem']['message']}"] if data["problem"] else []
    lines.append(
        f"estimate for rules on weights alone: {guess['seconds']:.3g} s on "
        f"{_count(guess['threads'], 'thread')}, {guess['memory_bytes'] / 2**20:.0f} MiB of memory. "
        f"{guess['how']}"
    )
    if "time" in facts:
        return "\n".join([*lines, "", *_times(facts["time"])])
    if facts["task"] == "language":
        lines.append("Methods and allocations that run the model on text take longer: --time says how long.")
    return "\n".join(lines)


def _times(told: dict[str, Any]) -> list[str]:
    """How long each method and allocation will take."""
    what = "measuring quality included" if told["measured"] else "quality not measured"
    lines = [f"time of a pruning on this machine ({what}), from a probe of {told['probe_seconds']:.0f} s:"]
    for line in told["ranges"]:
        low, high = (wording.seconds(line[end]) for end in ("low", "high"))
        lines.append(f"  {line['method']:<12} {line['allocation']:<9} {low} to {high}")
    return lines


def exported(facts: dict[str, Any]) -> str:
    """What `export` wrote."""
    line = f"Wrote {facts.get('folder') or facts['file']} ({facts['bytes']:,} bytes)"
    lines = [line, *(f"Left behind: {name} ({why})" for name, why in facts.get("left_behind", {}).items())]
    if "repository" in facts:
        lines.append(f"Uploaded to {facts['repository']}")
    return "\n".join(lines)


def subnetwork(facts: dict[str, Any]) -> str:
    """What a subnetwork file is."""
    spec, ways, base = facts["spec"], facts["tensors"], facts["base"]
    share = f" ({facts['kept'] / facts['masked']:.2%})" if facts["masked"] else ""
    lines = [
        f"Subnetwork file, version {facts['version']}, {facts['bytes']:,} bytes"
        + (" (one zstd frame)" if facts["compressed"] else "")
        + f"; the model dense: {facts['bytes_dense']:,}.",
        f"{facts['architecture'] or 'A model'} of {facts['parameters']:,} parameters, pruned by "
        f"{spec.get('method')}; its masks keep {facts['kept']:,} of {facts['masked']:,}{share}.",
        f"Tensors: {ways['values']} as mask and values, {ways['dense']} dense, {ways['base']} as "
        f"in the base, {ways['same']} tied" + (f", {ways['coded']} coded." if "coded" in ways else "."),
    ]
    lines += [
        f"  {name}: {_count(one['tensors'], 'tensor')} of {one['entries']:,} entries in {one['bytes']:,} bytes"
        for name, one in facts.get("codes", {}).items()
    ]
    if facts["needs_base"]:
        at = f" at {base['revision']}" if base["revision"] else ""
        lines.append(f"Needs its base: {base['text']}{at}.")
    else:
        lines.append("Needs no base.")
    lines.append("All hashes match: the file is unchanged.")
    return "\n".join(lines)


def _task(facts: dict[str, Any]) -> str:
    what = {
        "language": "a causal language model",
        "classification": "a classifier of texts",
        "embedding": "an encoder without a head, measured by its embeddings",
        "other": "neither a causal language model, nor a classifier of texts, nor an encoder of them",
    }[facts["task"]]
    reads = f", reads up to {facts['positions']:,} tokens" if facts["positions"] else ""
    streams = facts["streams"]
    prunes = (
        f"; activations can prune {streams['matrices']:,} matrices of {streams['parameters']:,} parameters"
        if streams
        else ""
    )
    return f"task: {what}{reads}{prunes}"


def _listed(what: str, items: list[dict[str, Any]], most: int = 20) -> list[str]:
    if not items:
        return [f"{what}: nothing"]
    lines = [f"{what}:"]
    lines += [f"  {item['name']}: {item['reason']}" for item in items[:most]]
    return lines + ([f"  and {len(items) - most} more"] if len(items) > most else [])


def _names(tied: Any) -> list[str]:
    return [tied["name"], *tied["aliases"]] if isinstance(tied, dict) else [str(n) for n in tied]


def _source(source: dict[str, Any]) -> str:
    revision = f" at {source['revision']}" if source["revision"] else ""
    return f"{source['text']}{revision} ({source['folder']})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
