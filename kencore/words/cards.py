"""The four numbers that stand first of a run: what was kept, its size, its quality, the best
baseline. The Overview page and a report show the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kencore.words import measured
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.verdict import points_apart, times

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec
    from kencore.views.tables import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """One number: what it is, its value, and what stands below it (``beside`` after ``below``)."""

    label: str
    value: str
    below: str
    beside: str | None = None
    explained: str = ""


def kept(spec: PruneSpec, total: Totals, stored: int | None = None) -> Number:
    """How much was kept, or set to zero; ``stored``: bytes of the subnetwork file, where they are known."""
    inside = (
        f"Kept in the {total.matrices_pruned} pruned tensors of {total.matrices}: "
        f"{wording.exact(total.kept_pruned)} of {wording.exact(total.pruned)}."
    )
    if spec.coded:
        value = changes = f"{8 * total.bytes_stored / max(1, total.params):.3g}"
        explained = (
            "Bytes of all coded changes and of what is stored as it is, over the weights of the model. The "
            "file also has names, hashes and configuration."
        )
        if stored:
            value = f"{8 * stored / max(1, total.params):.3g}"
            alone = f"{changes} without names, hashes and configuration."
            explained = f"Bytes of the whole file over the weights of the model; {alone}"
        below = f"{wording.count(total.kept)} of {wording.count(total.params)} weights change"
        return Number(label="Bits per weight", value=value, below=below, explained=explained)
    if spec.restore == "zero":
        gone = total.pruned - total.kept_pruned
        return Number(
            label="Weights set to zero",
            value=f"{wording.count(gone)} of {wording.count(total.pruned)}",
            below=f"{wording.percent(1 - total.share)} of the whole model",
            explained=f"{wording.exact(gone)} of {wording.exact(total.pruned)} weights of the "
            f"pruned matrices are zero, {wording.percent(1 - total.share_pruned, 3)}. {inside}",
        )
    return Number(
        label="Weights kept",
        value=f"{wording.count(total.kept)} of {wording.count(total.params)}",
        below=f"{wording.percent(total.share_pruned)} of what was pruned",
        explained=f"{wording.exact(total.kept)} of {wording.exact(total.params)} weights hold the tuned value; "
        f"the others are reset to the base. {inside}",
    )


def size(spec: PruneSpec, total: Totals, stored: int | None = None) -> Number:
    """Bytes of what was kept; ``stored``: of the subnetwork file, where they are known."""
    base = "" if spec.restore == "zero" else "The base model is needed too. "
    if spec.coded:
        file = stored or total.bytes_stored
        return Number(
            label="Size of the file" if stored else "Size of the changes",
            value=wording.size(file),
            below=f"{wording.percent(file / max(1, total.bytes_dense), 0)} of {wording.size(total.bytes_dense)}",
            explained=("The whole subnetwork file. " if stored else "Without names, hashes and configuration. ") + base,
        )
    return Number(
        label="Size of the kept part",
        value=wording.size(total.bytes_stored),
        below=f"{wording.percent(total.share_bytes, 0)} of {wording.size(total.bytes_dense)}",
        explained="Kept values and one bit per weight for the mask. "
        + base
        + "Pruned weights alone make a model neither smaller nor faster in use.",
    )


def quality(metrics: dict[str, Any]) -> Number:
    """Accuracy or perplexity before and after; not of a run that was not measured."""
    if "dense" not in metrics:
        return Number(label="Quality", value="not measured", below="")
    before, after = metrics["dense"], metrics["pruned"]
    if facts.is_language(metrics):
        return Number(
            label="Perplexity, before → after",
            value=f"{facts.perplexity(before['perplexity'])} → {facts.perplexity(after['perplexity'])}",
            below=times(after["perplexity"], before["perplexity"], whose="as high"),
            beside=measured.perplexity_interval(after) or "lower is better",
            explained=f"exp of the mean loss, {before['nll']:.3f} → {after['nll']:.3f} nats per token, on "
            f"{windows(metrics)}. In gray: the pruned model's 95 % interval, from the spread over "
            "windows, where known.",
        )
    name = facts.share_name(metrics)
    how = f". {measured.SIMILARITY_EXPLAINED}" if facts.is_embedding(metrics) else " (Wilson)."
    return Number(
        label=f"{name.capitalize()}, before → after",
        value=f"{100 * before[name]:.1f} → {wording.percent(after[name])}",
        below=points_apart(after[name], before[name], "higher", "lower"),
        beside=facts.interval(after),
        explained=f"On {facts.sentences(metrics)} ({metrics['data']}). In gray: the pruned model's 95 % interval{how}",
    )


def windows(metrics: dict[str, Any]) -> str:
    """The text of a perplexity and how it was cut, without which it says nothing."""
    after = metrics["pruned"]
    return (
        f"{wording.plural(int(after['windows']), 'window')} of {wording.exact(after['window'])} "
        f"tokens of {wording.text_source(str(metrics['data']))}"
    )


def closeness(metrics: dict[str, Any]) -> Number:
    """How near the answers are to the dense model's."""
    found = facts.nearness(metrics)
    if found is None:
        return Number(label="Same answers", value="not measured", below="")
    kl, same = found
    what = "predicted tokens" if facts.is_language(metrics) else "sentences"
    return Number(
        label="Same answers",
        value=wording.percent(same),
        below=f"{kl:.2g} nats apart",
        explained=f"Share of {what} with the dense model's answer, and the mean KL divergence of the answers from it: "
        "0 is the same, and it tells apart what accuracy cannot.",
    )


def baseline(metrics: dict[str, Any], method: str) -> Number:
    """The best of the other rules at the same budget."""
    best = facts.best_baseline(metrics)
    if best is None:
        return Number(label="Baselines", value="not measured", below="")
    rule, found = best
    own = metrics["pruned"]
    if facts.is_language(metrics):
        value = facts.perplexity(found["perplexity"])
        change = times(found["perplexity"], own["perplexity"], whose="as high")
    else:
        name = facts.share_name(metrics)
        value = wording.percent(found[name])
        change = points_apart(found[name], own[name], "better", "worse")
    return Number(
        label="Best baseline",
        value=value,
        below=change,
        beside=facts.baseline_inline(rule, method),
        explained="The best other rule measured at the same budget.",
    )
