"""The story of a run in plain words: what the model does, the guided zoom, what it cost, the verdict, what to do next.

Pure: it reads a run's numbers and says nothing that the run does not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kencore.exports.subnetwork.plan import known_bytes
from kencore.methods.table import METHODS
from kencore.models.figures import measure_of
from kencore.recovery.gap import recovered
from kencore.views import tables as summaries
from kencore.words import measured
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.verdict import Verdict, standings, verdict
from kencore.words.zoom import Step, zoom

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.example import Example
    from kencore.views.guide import Guide

CLEAR: Final = {
    "language": "at the end of",
    "classification": "A wonderful film, beautifully acted and a joy to watch.",
}
"""A sentence to begin with, of which nobody doubts the answer, by what the model does."""
_ENDS: Final = {
    "safe": "This run is safe to use",
    "unclear": "It is not clear yet whether this run is safe",
    "damaged": "This run is damaged",
    "ruined": "This run is ruined",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What to do next.

    Attributes:
        page: of the app, where it is done.
        text: what, and why.
        params: what the page's address says beside the run.
    """

    page: str
    text: str
    params: dict[str, Any]


def steps(run: Run, way: Guide, example: Example | None) -> tuple[Step, ...]:
    """The steps of a run, those that it has something to show for.

    Args:
        way: `kencore.views.guide.guide`.
        example: `kencore.views.example.example` of the same matrix; ``None`` where its weights cannot be read.
    """
    found = [_ask(run), *zoom(run, way, example), _cost(run)]
    if run.metrics.get("baselines"):
        found.append(_baseline(run))
    if run.tuning is not None:
        found.append(_tuned(run))
    return (*found, _stored(run), _next(run))


def _ask(run: Run) -> Step:
    size = f"{wording.count(summaries.totals(run.matrices).params)} numbers, its weights"
    if facts.is_embedding(run.metrics):  # it has no answer to a sentence
        said = "For each sentence it makes an embedding: a list of numbers that stands for the meaning."
        return Step(key="meaning", title=f"This model turns a sentence into its meaning with {size}", words=(said,))
    what = "goes on with a text" if run.language else "reads a sentence and says which label fits"
    who = (
        "before and after pruning"
        if run.restore == "zero"
        else "of the base model it started from, of the tuned model, and of the pruned one"
    )
    if run.thin:  # it asks no model
        words = ("Below is how it goes on with a text before and after pruning.",) if run.language else ()
        return Step(key="ask", title=f"This model {what}, with {size}", words=words)
    one = "the next word" if run.language else "the answer"
    return Step(
        key="ask",
        title=f"This model {what}, with {size}",
        words=(f"Below is {one} {who}. Try a sentence of your own.",),
    )


# --- what it cost ------------------------------------------------------------------------------


def _cost(run: Run) -> Step:
    judged = verdict(run.metrics, run.spec.method)
    if judged is None:
        return Step(
            key="unmeasured",
            title="Nobody has measured yet what this cost",
            words=("Measure the model's quality on the Overview; then this step says what it was and what it is.",),
        )
    said = (_quality(run.metrics, wording.TERMS[run.restore].dense), _chance(run.metrics["pruned"]))
    title = judged.change.rstrip(".")
    return Step(key="cost", title=title[:1].upper() + title[1:], words=(" ".join(said).strip(),))


def _quality(found: dict[str, Any], dense: str) -> str:
    before, after = found["dense"], found["pruned"]
    if facts.is_language(found):
        ends = measured.perplexity_interval(after)
        sure = f" (95 % interval {ends})" if ends else ""
        return (
            "Perplexity says among how many equally likely pieces of a word the model would be as unsure; lower is "
            f"better. On {wording.text_source(found['data'])} it was {facts.perplexity(before['perplexity'])} and is "
            f"{facts.perplexity(after['perplexity'])}{sure}."
        )
    sure = f" (95 % interval {facts.interval(after)})" if f"{measure_of(after)}_low" in after else ""
    if facts.is_embedding(found):
        return (
            f"On {facts.sentences(found)} the embeddings of the pruned model are {wording.percent(after['similarity'])}"
            f"{sure} similar to those of the dense one, by the angle between them."
        )
    return (
        f"Of {wording.plural(int(found['examples']), 'sentence')} the {dense} model gets "
        f"{wording.percent(before['accuracy'])} right, the pruned one {wording.percent(after['accuracy'])}{sure}."
    )


def _chance(after: dict[str, Any]) -> str:
    """How many answers changed, and whether that is more than chance; nothing where it was not measured in pairs."""
    chance = measured.could_be_chance(after)
    if chance is None:
        return ""
    versus = after["versus_dense"]
    sure = "That could be chance." if chance else "That is more than chance."
    if "lost" not in versus:
        return sure
    lost, won = int(versus["lost"]), int(versus["won"])
    return f"{wording.plural(lost, 'right answer')} went wrong, {wording.plural(won, 'wrong one')} came right. {sure}"


def _baseline(run: Run) -> Step:
    found = standings(run.metrics)
    marks, best = set(found.values()), next(iter(found))
    if "better" in marks:
        title = "Another rule does better with as many weights"
    elif "tied" in marks:
        title = "Another rule does just as well with as many weights"
    elif "unknown" in marks:
        title = "Other rules were measured, too, but not sentence by sentence"
        title = title if not facts.is_language(run.metrics) else title.replace("sentence by sentence", "in pairs")
    else:
        title = "No other rule does as well with as many weights"
    judged = verdict(run.metrics, run.spec.method)
    tuned = " They were not trained afterwards; this run was." if run.tuning is not None else ""
    said = "Any rule can keep that many weights, drawing lots included; each was measured on the same data."
    words = (f"{said} {judged.peers if judged else ''}{tuned}".strip(),)
    how = METHODS[best].story[:1] if "better" in marks and best in METHODS else ()
    return Step(
        key="baseline",
        title=title,
        words=(*words, *(f"{facts.baseline_name(best, run.spec.method)}: {one}" for one in how)),
    )


def _tuned(run: Run) -> Step:
    told = run.tuning
    assert told is not None
    many = wording.plural(int(told["steps"]), "more step")
    share = recovered(run.metrics)
    title = f"The kept weights were trained for {many}"
    if share is not None:
        percent = wording.percent(share, 0)
        title = f"Training won back {percent} of what pruning lost" if share > 0 else "Training won nothing back"
    said = f"After pruning, the kept weights were trained for {many}; every pruned one stayed where pruning put it."
    return Step(key="tuned", title=title, words=(said,))


def _stored(run: Run) -> Step:
    total = summaries.totals(run.matrices)
    need = (
        ""
        if run.restore == "zero"
        else " Whoever has the base model needs no more than that to have this model again, bit for bit."
    )
    if run.spec.coded:
        file = facts.file_bytes(run.metrics) or known_bytes(run) or total.bytes_stored
        near = facts.nearness(run.metrics)
        said = f" {wording.percent(near[1])} of the answers stay the same." if near else ""
        return Step(
            key="stored",
            title=f"From {wording.size(total.bytes_dense)} to {wording.size(file)}",
            words=(
                f"That is {8 * file / max(1, total.params):.2g} bits for each weight: how far it moved, in a few "
                f"levels or a sign.{said}{need}",
                "It is space on disk: in use the model is as large and as fast as the tuned one.",
            ),
        )
    return Step(
        key="stored",
        title=f"{wording.size(total.bytes_stored)} have to be stored instead of {wording.size(total.bytes_dense)}",
        words=(
            f"That is the kept values, and one bit for each weight that says which they are.{need}",
            "It is space on disk: single weights that are gone make a model no faster by themselves.",
        ),
    )


# --- the verdict, and what to do next ----------------------------------------------------------


def _next(run: Run) -> Step:
    judged = verdict(run.metrics, run.spec.method)
    title = "Whether this run is safe is not known yet" if judged is None else _ENDS[judged.level]
    return Step(key="next", title=title, words=() if judged is None else (judged.text,))


def advice(run: Run) -> tuple[Advice, ...]:
    """What to do next, the most useful first."""
    judged = verdict(run.metrics, run.spec.method)
    if judged is None:
        return (_go("overview", "Measure its quality: without it nobody can say whether it is safe."),)
    return tuple(_advice(run, judged))


def _advice(run: Run, judged: Verdict) -> Iterator[Advice]:
    if judged.level == "unclear":
        yield _go("overview", f"Measure it on more data: {_data(run)} are too few to tell.")
    yield from _better_rule(run)
    if judged.level == "safe":
        yield _go("overview", "Take it along: its files, and a report to pass on.")
        yield _go("tune", "Try to keep less.")
    if judged.level in ("damaged", "ruined"):
        yield _go("tune", "Keep more: move the slider and see what it costs.")
        if run.tuning is None:
            yield _go("recover", "Train what was kept, to win quality back.")
    if not facts.is_embedding(run.metrics):
        yield _go("flips", "See which answers changed.")


def _better_rule(run: Run) -> Iterator[Advice]:
    better = [rule for rule, mark in standings(run.metrics).items() if mark == "better"]
    if not better or better[0] not in METHODS:
        return
    spec = run.spec
    same = {"model": spec.model, "base": spec.base, "keep": spec.keep, "k": spec.k, "evaluation": spec.evaluation}
    name = facts.baseline_inline(better[0], spec.method)
    yield _go("prune", f"Prune by {name} instead: better with as many weights.", method=better[0], **same)


def _data(run: Run) -> str:
    after = run.metrics["pruned"]
    if facts.is_language(run.metrics):
        return wording.plural(int(after.get("windows") or 1), "window") + " of text"
    return wording.plural(int(after.get("examples") or run.metrics.get("examples") or 0), "sentence")


def _go(page: str, text: str, **params: Any) -> Advice:
    return Advice(page=page, text=text, params=params)
