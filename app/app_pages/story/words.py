"""The story of a run in plain words: its steps, each with a title and what to say.

Pure: it reads a run's numbers and says nothing that the run does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.frame import matrices
from kencore.allocate.table import UNIFORM
from kencore.methods.table import METHODS
from kencore.models.figures import measure_of
from kencore.recovery.gap import recovered
from kencore.views import example as telling
from kencore.views import sparsity
from kencore.views import tables as summaries
from kencore.words import measured
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.verdict import verdict

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.example import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: ``key`` says which picture it has, ``words`` are paragraphs of plain text."""

    key: str
    title: str
    words: tuple[str, ...]


def steps(run: Run, example: Example | None) -> tuple[Step, ...]:
    """The steps of a run, those that it has something to show for.

    Args:
        example: `kencore.views.example.example`.
    """
    found = [_ask(run)]
    if run.restore == "base":
        found.append(_changed(run))
    found.append(_kept(run))
    if example is not None:
        found.append(_row(run, example))
        if example.kept is not None or example.gone is not None:
            found.append(_weight(run, example))
    where = _where(run, example)
    found += [where] if where is not None else []
    found.append(_cost(run))
    if run.metrics.get("baselines"):
        found.append(_baseline(run))
    if run.tuning is not None:
        found.append(_tuned(run))
    return (*found, _stored(run), _next(run))


def _ask(run: Run) -> Step:
    total = summaries.totals(run.matrices)
    size = f"It does so with {wording.count(total.params)} numbers, its weights."
    if facts.is_embedding(run.metrics):  # it has no answer to a sentence
        what = "This model reads a sentence and makes an embedding of it: numbers that stand for its meaning."
        return Step(key="model", title="What the model does", words=(f"{what} {size}",))
    if run.language:
        what = "This model goes on with a text: for every piece of a word it says how likely it is."
    else:
        what = "This model reads a sentence and says which label fits it."
    who = (
        "before and after pruning"
        if run.restore == "zero"
        else ("three times: the base model it started from, the tuned model, and the pruned one")
    )
    return Step(
        key="ask", title="What the model does", words=(f"{what} {size}", f"Try a sentence. You see its answer {who}.")
    )


def _changed(run: Run) -> Step:
    size = telling.typical_change(run.matrices)
    said = ["The tuned model began as a copy of the base model. Fine-tuning on its task moved its weights."]
    if size == size:  # not NaN
        said.append(
            f"A typical move is {wording.percent(size, 0 if size >= 0.1 else 1)} of the spread of "
            "the weights. The darker a cell, the further its weights moved."
        )
    return Step(key="changed", title="What fine-tuning changed", words=tuple(said))


def _kept(run: Run) -> Step:
    total, name = summaries.totals(run.matrices), wording.method(run.spec)
    gone = total.pruned - total.kept_pruned
    if run.restore == "zero":
        said = (
            f"{name} set {wording.count(gone)} weights to zero, "
            f"{wording.short_percent(gone / total.pruned)} of those it was let near. "
            f"{wording.count(total.kept)} are left of {wording.count(total.params)}"
            f"{_afterwards(run)}."
        )
    else:
        said = (
            f"{name} kept {wording.count(total.kept)} of {wording.count(total.params)} weights"
            f"{_afterwards(run) or ' as fine-tuning left them'}. The other {wording.count(gone)} "
            "were put back to what they were in the base model."
        )
    return Step(
        key="kept",
        title="What was kept",
        words=(said, "Each cell is one kind of matrix in one block of the model; the darker, the more of it was kept."),
    )


def _afterwards(run: Run) -> str:
    """What became of kept values; nothing where they are as before."""
    if run.tuning is not None:
        return ", trained further since"
    if run.kept_values is None:
        return ""
    return ", rescaled since" if run.spec.rescale != "none" else ", adjusted since"


def _row(run: Run, example: Example) -> Step:
    kept, cols = int(example.keep.sum()), len(example.keep)
    where = matrices.title(run.matrix(example.matrix), run.matrices).lower()
    return Step(
        key="row",
        title="How one row was chosen",
        words=(
            *METHODS[run.spec.method].story,
            f"This is row {example.row:,} of {where}: {kept:,} of its {cols:,} weights stayed.",
        ),
    )


def _weight(run: Run, example: Example) -> Step:
    said = []
    terms = wording.TERMS[run.restore]
    if example.kept is not None:
        i = example.kept
        if run.restore == "base":
            said.append(
                f"Fine-tuning moved one weight from {_value(example.base[i])} to "
                f"{_value(example.tuned[i])}. It was kept{_changed_after(run, example, i)}."
            )
        else:
            said.append(f"One weight was {_value(example.tuned[i])} and was kept{_changed_after(run, example, i)}.")
    if example.gone is not None:
        i = example.gone
        start = "Another was moved" if run.restore == "base" else "Another was"
        moved = f" from {_value(example.base[i])} to" if run.restore == "base" else ""
        said.append(
            f"{start}{moved} {_value(example.tuned[i])} and was {terms.gone_long}: it is {_value(example.now[i])} now."
        )
    return Step(key="weight", title="Two weights of that row", words=tuple(said))


def _changed_after(run: Run, example: Example, i: int) -> str:
    if example.now[i] == example.tuned[i]:
        return " as it was"
    why = "trained further" if run.tuning is not None else "adjusted"
    return f" and {why}: it is {_value(example.now[i])} now"


def _value(value: float) -> str:
    return f"{float(value):.4f}".replace("-", "−") if value else "0"


def _where(run: Run, example: Example | None) -> Step | None:
    span = telling.block_range(run.matrices)
    if span is not None and not sparsity.alike(sparsity.by_block(run.matrices)):
        low, high = (wording.percent(share, 0) for share in span)
        return Step(
            key="depth",
            title="Where it concentrates",
            words=(
                f"Not every block gave as much: between {low} and {high} of its weights are gone, "
                f"as {wording.allocation(run.spec)} shared it out."
                if run.spec.allocation != UNIFORM
                else f"Not every block gave as much: between {low} and {high} of its weights are gone.",
            ),
        )
    if example is None:
        return None
    said = (
        ["Every block gave the same share, so what was kept does not gather in some part of the model."]
        if span is not None
        else []
    )
    said.append(
        "Inside a row it does: here the weights of the row before are sorted by how far they are "
        "from its middle, nearest first, in ten groups of the same size."
    )
    return Step(key="tails", title="Where it concentrates", words=tuple(said))


def _cost(run: Run) -> Step:
    found, dense = run.metrics, wording.TERMS[run.restore].dense
    if not found:
        return Step(
            key="unmeasured",
            title="What it cost",
            words=(
                "Nobody has measured yet what this did to the model's quality. Measure it on "
                "the Overview; then this step says so.",
            ),
        )
    said = [_quality(found, dense)]
    change = measured.change(found["pruned"], found.get("examples"))
    if change is not None:
        said.append(f"{change}.")
    return Step(key="cost", title="What it cost", words=tuple(said))


def _quality(found: dict[str, Any], dense: str) -> str:
    before, after = found["dense"], found["pruned"]
    if facts.is_language(found):
        ends = measured.perplexity_interval(after)
        sure = f" (95 % interval {ends})" if ends else ""
        return (
            "Perplexity says among how many equally likely pieces the model would be as unsure; "
            f"lower is better. It was {facts.perplexity(before['perplexity'])} and is "
            f"{facts.perplexity(after['perplexity'])}{sure} on "
            f"{wording.text_source(found['data'])}."
        )
    sure = f" (95 % interval {facts.interval(after)})" if f"{measure_of(after)}_low" in after else ""
    if facts.is_embedding(found):
        return (
            "An embedding is the list of numbers that the model makes of a sentence. On "
            f"{facts.sentences(found)} those of the pruned model are {wording.percent(after['similarity'])}{sure} "
            "similar to those of the dense one, by the angle between them."
        )
    return (
        f"Of {wording.plural(int(found['examples']), 'sentence')} the {dense} model gets "
        f"{wording.percent(before['accuracy'])} right, the pruned one "
        f"{wording.percent(after['accuracy'])}{sure}."
    )


def _baseline(run: Run) -> Step:
    best = facts.best_baseline(run.metrics)
    assert best is not None
    rule, found = best
    own, language = run.metrics["pruned"], facts.is_language(run.metrics)
    name = facts.baseline_inline(rule, run.spec.method)
    if language:
        value, mine = found["perplexity"], own["perplexity"]
        said = f"perplexity {facts.perplexity(value)}; this run has {facts.perplexity(mine)}"
        better = value < mine
    else:
        value, mine = (step[measure_of(step)] for step in (found, own))
        what = (
            f"similarity {wording.percent(value)}"
            if facts.is_embedding(run.metrics)
            else f"{wording.percent(value)} right"
        )
        said = f"{what}; this run has {wording.percent(mine)}"
        better = value > mine
    verdict = (
        "So another rule did better on these data."
        if better
        else "So none of them did better on these data."
        if value != mine
        else "So it did just as well."
    )
    tuned = " They were not tuned afterwards; this run was." if run.tuning is not None else ""
    return Step(
        key="baseline",
        title="What other rules would have cost",
        words=(
            "Any rule can keep that many weights, drawing lots included. The best of those that "
            f"were measured, {name}, has {said}. {verdict}{tuned}",
        ),
    )


def _tuned(run: Run) -> Step:
    told = run.tuning
    assert told is not None
    said = [
        f"After pruning, the weights that were kept were trained for "
        f"{wording.plural(int(told['steps']), 'more step')}; every pruned one stayed where pruning "
        "put it."
    ]
    share = recovered(run.metrics)
    if share is not None:
        said.append(f"That won back {wording.percent(share, 0).replace('-', '−')} of what pruning lost.")
    return Step(key="tuned", title="What recovery won back", words=tuple(said))


def _stored(run: Run) -> Step:
    total = summaries.totals(run.matrices)
    need = (
        ""
        if run.restore == "zero"
        else (" Whoever has the base model needs no more than that to have this model again, bit for bit.")
    )
    return Step(
        key="stored",
        title="What has to be stored",
        words=(
            f"All weights take {wording.size(total.bytes_dense)}. Kept values with one bit per "
            f"weight that says which they are take {wording.size(total.bytes_stored)}.{need}",
            "That is space on disk. Single weights that are gone make a model no faster by themselves.",
        ),
    )


def _next(run: Run) -> Step:
    judged = verdict(run.metrics, run.spec.method)
    return Step(
        key="next",
        title="Where to go on",
        words=(
            *([] if judged is None else [judged.text]),
            "That was the run in short. Every number came from the run itself, and each has a "
            "page that shows more of it.",
        ),
    )
